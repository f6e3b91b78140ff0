// Command line options from a table: parsing, help text. Pure.
// Options end at "--", or when a verb's own words have been seen: in `exec web ls -l`, "-l" is ls's.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace husk::pod {

struct OptionSpec {
  std::string_view name;      // "publish": --publish
  char letter = 0;            // 'p': -p
  std::string_view argument;  // "HOST:CONTAINER"; "" = a flag
  std::string_view help;
};

class Options {
 public:
  bool has(std::string_view name) const { return values_.contains(name); }
  // Given more than once: the last one counts.
  std::optional<std::string> value(std::string_view name) const;
  const std::vector<std::string>& values(std::string_view name) const;
  const std::vector<std::string>& words() const { return words_; }

 private:
  friend class OptionParser;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> words_;
};

inline constexpr std::size_t kAllWords = static_cast<std::size_t>(-1);
// Options are recognised until `words_before_rest` words have been seen.
Result<Options> parse_options(std::span<const std::string> arguments, std::span<const OptionSpec> specs,
                              std::size_t words_before_rest = kAllWords);

// One line for each option: "  -p, --publish HOST:CONTAINER  help".
std::string options_help(std::span<const OptionSpec> specs);

}  // namespace husk::pod
