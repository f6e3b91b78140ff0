#include "cli/matching.h"

#include <regex.h>

#include <array>
#include <optional>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "store.h"

namespace husk::cli {
namespace {

// Source: man 3 regcomp; man 7 regex. (<regex> brings all locales into a static program.)
class Pattern {
 public:
  explicit Pattern(const std::string& text) : error_{::regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB)} {}
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() {
    if (error_ == 0) ::regfree(&compiled_);
  }
  // "" when it is a regular expression.
  std::string fault() const {
    if (error_ == 0) return "";
    std::array<char, 128> text{};
    (void)::regerror(error_, &compiled_, text.data(), text.size());
    return text.data();
  }
  bool matches(const std::string& text) const { return ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0; }

 private:
  regex_t compiled_{};
  int error_;
};

}  // namespace

Result<std::string> pattern_of(const Parsed& parsed) {
  if (!parsed.positional().empty()) return parsed.positional().front();
  return Error{Kind::invalid, "--regex requires an argument: the regular expression"}.hint("see --help");
}

Status for_each_match(const Globals& globals, const std::string& pattern, const std::function<Status(const ContainerId&)>& act) {
  const Pattern compiled{pattern};
  if (const auto fault = compiled.fault(); !fault.empty())
    return Error{Kind::invalid, format_text("--regex {}: {}", quote(pattern), to_lower(fault))}.hint("man 7 regex");
  std::optional<Error> first;
  for (const auto& text : TRY(runtime::StateStore{globals.root}.ids())) {
    if (!compiled.matches(text)) continue;
    const auto id = TRY(ContainerId::parse(text));
    auto done = act(id);
    if (done.has_value()) continue;
    auto error = std::move(done).error().during(text);
    if (first.has_value()) log::warning(error.to_string());
    else first = std::move(error);
  }
  return first.has_value() ? Status{*first} : ok();
}

}  // namespace husk::cli
