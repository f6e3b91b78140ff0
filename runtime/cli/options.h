// Command lines as data: each verb has one table of options. cxxopts parses them (options.cc is the
// only file that includes it); single-dash long names (`-no-subreaper`, Go's style) are accepted.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace husk::cli {

struct Option {
  char letter = 0;           // 0: none
  std::string_view name;
  std::string_view value;    // "" = flag; else how the help calls it
  std::string_view help;
};

struct Verb;
using Arguments = std::vector<std::string>;

class Parsed {
 public:
  bool has(std::string_view name) const;
  // The last one given; "" when absent.
  std::string text(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  Result<int> number(std::string_view name, int absent) const;  // 0 … 1024
  const std::vector<std::string>& positional() const { return positional_; }
  bool wants_help() const { return has("help"); }

  // The one positional argument that a verb takes.
  Result<ContainerId> only_id() const;
  Result<ContainerId> id_at(std::size_t index) const;
  Status at_most(std::size_t count) const;

 private:
  friend Result<Parsed> parse_options(std::span<const Option> options, const Arguments& arguments, bool stop_at_second,
                                      std::span<const Option> globals);
  struct Given {
    std::string name;
    std::string value;
    bool is_flag;
  };
  std::vector<Given> given_;
  std::vector<std::string> positional_;
};

// `stop_at_second`: from the second positional on nothing is an option (`exec ID COMMAND -x`). `globals`: those before the
// verb, for the error about one that stands behind it.
Result<Parsed> parse_options(std::span<const Option> options, const Arguments& arguments, bool stop_at_second = false,
                             std::span<const Option> globals = {});

// Where the first positional stands: the verb among the global options.
std::size_t find_first_positional(std::span<const Option> options, const Arguments& arguments);

// "  -b, --bundle DIR     text" lines.
std::string options_help(std::span<const Option> options);

}  // namespace husk::cli
