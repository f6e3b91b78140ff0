#include "cgroups/systemd/request.h"

#include <array>

#include "base/text.h"

namespace husk::cgroups::systemd {
namespace {

constexpr std::array<std::string_view, 4> kVerbs{"start", "stop", "set", "attach"};

void add_word(std::string& text, std::string_view word) {
  text += word;
  text += '\0';
}

Error malformed() { return {Kind::invalid, "malformed message between husk and husk-scope"}; }

class Words {
 public:
  explicit Words(std::string_view text) : left_{text} {}
  bool is_empty() const { return left_.empty(); }
  Result<std::string> next() {
    const auto end = left_.find('\0');
    if (end == std::string_view::npos) return malformed();
    std::string word{left_.substr(0, end)};
    left_.remove_prefix(end + 1);
    return word;
  }

 private:
  std::string_view left_;
};

}  // namespace

std::string write_request(const Request& request) {
  std::string text;
  add_word(text, kVerbs.at(static_cast<std::size_t>(request.verb)));
  add_word(text, request.unit);
  for (const auto& property : request.properties) {
    add_word(text, property.name);
    add_word(text, property.signature);
    add_word(text, std::to_string(property.values.size()));
    for (const auto& value : property.values) add_word(text, value);
  }
  return text;
}

Result<Request> parse_request(std::string_view text) {
  Words words{text};
  const auto verb = TRY(words.next());
  Request request;
  request.unit = TRY(words.next());
  std::size_t index = 0;
  while (index < kVerbs.size() && kVerbs.at(index) != verb) ++index;
  if (index == kVerbs.size()) return malformed();
  request.verb = static_cast<Verb>(index);
  while (!words.is_empty()) {
    Property property;
    property.name = TRY(words.next());
    property.signature = TRY(words.next());
    const auto count = TRY(words.next());
    const auto values = TRY(parse_uint64(count));
    for (std::uint64_t i = 0; i < values; ++i) {
      auto value = TRY(words.next());
      property.values.push_back(std::move(value));
    }
    request.properties.push_back(std::move(property));
  }
  return request;
}

std::string write_reply(const Status& outcome) {
  std::string text;
  if (outcome.has_value()) return "done";
  const auto& error = outcome.error();
  add_word(text, std::to_string(static_cast<unsigned>(error.kind())));
  add_word(text, std::to_string(error.os_errno()));
  add_word(text, error.what());
  add_word(text, error.hint_text());
  return text;
}

Status parse_reply(std::string_view text) {
  if (text == "done") return ok();
  Words words{text};
  const auto kind_text = TRY(words.next());
  const auto errno_text = TRY(words.next());
  const auto kind = TRY(parse_uint32(kind_text));
  const auto number = TRY(parse_uint32(errno_text));
  const auto what = TRY(words.next());
  const auto hint = TRY(words.next());
  if (kind > static_cast<unsigned>(Kind::internal)) return malformed();
  Error error{static_cast<Kind>(kind), what, static_cast<int>(number)};
  return hint.empty() ? Status{error} : Status{std::move(error).hint(hint)};
}

}  // namespace husk::cgroups::systemd
