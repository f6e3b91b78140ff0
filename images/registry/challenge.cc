#include "images/registry/challenge.h"

#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::string_view kSeparators = " \t,=\"";

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_{text} {}

  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  void advance() { rest_.remove_prefix(rest_.empty() ? 0 : 1); }
  void skip(std::string_view characters) {
    while (!rest_.empty() && characters.find(rest_.front()) != std::string_view::npos) rest_.remove_prefix(1);
  }
  std::string token() {
    const auto end = rest_.find_first_of(kSeparators);
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(text.size());
    return std::string{text};
  }
  std::string value() {
    if (peek() != '"') return token();
    advance();
    std::string text;
    while (!at_end() && peek() != '"') {
      if (peek() == '\\') advance();
      text += peek();
      advance();
    }
    advance();
    return text;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::string Challenge::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner{header};
  for (;;) {
    scanner.skip(" \t,");
    if (scanner.at_end()) return challenges;
    const auto word = scanner.token();
    if (word.empty()) {
      scanner.advance();  // a stray quote or equals sign
      continue;
    }
    scanner.skip(" \t");
    if (scanner.peek() != '=') {  // a word without "=" begins a new challenge
      challenges.push_back({.scheme = to_lower(word), .parameters = {}});
      continue;
    }
    scanner.advance();
    scanner.skip(" \t");
    auto value = scanner.value();
    if (!challenges.empty()) challenges.back().parameters.emplace_back(to_lower(word), std::move(value));
  }
}

}  // namespace husk::images
