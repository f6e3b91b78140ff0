// The verbs of husk-pod as data: one table that the parser, --help and the manual page share. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cri/client/text/options.h"

namespace husk::pod {

struct VerbSpec {
  std::string_view name;
  std::string_view words;    // "IMAGE [COMMAND...]"
  std::string_view summary;  // one line
  std::span<const OptionSpec> options;
  std::size_t least_words = 0;
  std::size_t most_words = kAllWords;
  std::size_t words_before_rest = kAllWords;
};

std::span<const VerbSpec> verb_specs();
std::span<const OptionSpec> global_options();
const VerbSpec* find_verb(std::string_view name);
// Options of a verb, with the number of words checked.
Result<Options> parse_verb(const VerbSpec& verb, std::span<const std::string> arguments);

std::string program_help();
std::string verb_help(const VerbSpec& verb);

}  // namespace husk::pod
