// Command lines of husk-image as data: a verb is one struct with its table of options, one row in
// main.cc. cxxopts parses them; options.cc is the only file that includes it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "images/tools.h"

namespace husk::images::cli {

struct Option {
  char letter = 0;         // 0: none
  std::string_view name;
  std::string_view value;  // "" = a flag; else how the help calls it
  std::string_view help;
};

class Parsed {
 public:
  bool has(std::string_view name) const;
  std::string text(std::string_view name) const;  // the last one given; "" when absent
  std::vector<std::string> all(std::string_view name) const;

  std::vector<std::string> positional;
  std::vector<std::pair<std::string, std::string>> given;
};

struct Invocation {
  StoreOptions store;
  Parsed parsed;
};

struct Verb {
  std::string_view name;
  std::string_view arguments;  // "IMAGE [COMMAND…]" for the help
  std::string_view summary;
  std::span<const Option> options;
  std::size_t least = 0;       // positional arguments
  std::size_t most = 0;
  // From the argument behind this many positional ones on, nothing is an option of ours any more
  // (run IMAGE COMMAND --flag). 0 = never.
  std::size_t raw_after = 0;
  Result<int> (*run)(const Invocation& invocation);  // the exit code
};

using Arguments = std::vector<std::string>;
Result<Parsed> parse(std::span<const Option> options, const Arguments& arguments, std::size_t raw_after);
std::string help_of(const Verb& verb);
std::string options_help(std::span<const Option> options);

extern const Verb kImport, kPull, kList, kInspect, kTag, kRm, kMount, kUmount, kBundle, kCommit, kRun;

// Options that several verbs share.
inline constexpr Option kJson{0, "json", "", "print JSON"};
inline constexpr Option kQuiet{'q', "quiet", "", "print ids only"};

}  // namespace husk::images::cli
