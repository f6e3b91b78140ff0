// The options of import and commit that change an image's configuration.
#pragma once

#include "images/cli/verb.h"

namespace husk::images::cli {

inline constexpr Option kCmd{0, "cmd", "WORDS", "default arguments: words, or a JSON array"};
inline constexpr Option kEntrypoint{0, "entrypoint", "WORDS", "program and first arguments: words, or a JSON array"};
inline constexpr Option kEnv{'e', "env", "NAME=VALUE", "set a variable (repeat)"};
inline constexpr Option kWorkdir{'w', "workdir", "DIR", "working directory"};
inline constexpr Option kUser{'u', "user", "USER[:GROUP]", "user, by name or number"};
inline constexpr Option kExpose{0, "expose", "PORT[/PROTO]", "a port that the image serves (repeat)"};
inline constexpr Option kVolume{0, "volume", "DIR", "a directory for data (repeat)"};
inline constexpr Option kLabel{'l', "label", "KEY=VALUE", "add a label (repeat)"};
inline constexpr Option kStopSignal{0, "stop-signal", "SIGNAL", "signal that asks it to stop"};

Result<ConfigChanges> parse_changes(const Parsed& parsed);
// "a b c" or ["a","b c"].
Result<std::vector<std::string>> parse_words(const std::string& text);
Result<std::string> check_variable(const std::string& text);  // "NAME=value"; "NAME" takes it from our environment

}  // namespace husk::images::cli
