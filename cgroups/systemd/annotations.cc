#include "cgroups/systemd/annotations.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/format.h"
#include "base/text.h"

namespace husk::cgroups::systemd {
namespace {

struct TypeName {
  std::string_view keyword;
  char code;
};
constexpr std::array kTypes{TypeName{"boolean", 'b'}, TypeName{"byte", 'y'},   TypeName{"int16", 'n'},
                            TypeName{"uint16", 'q'},  TypeName{"int32", 'i'},  TypeName{"uint32", 'u'},
                            TypeName{"int64", 'x'},   TypeName{"uint64", 't'}, TypeName{"double", 'd'},
                            TypeName{"string", 's'},  TypeName{"objectpath", 'o'}};

// What husk itself decides: which processes, and where.
constexpr std::array<std::string_view, 4> kOurs{"PIDs", "PIDFDs", "Slice", "Delegate"};

class VariantReader {
 public:
  explicit VariantReader(std::string_view text) : text_{text} {}

  Result<Property> read(std::string_view name) {
    Property property{.name = std::string{name}, .signature = "", .values = {}};
    skip_space();
    const bool typed = take('@');
    if (typed) property.signature = take_word("abynqiuxtdso()");
    skip_space();
    const auto found = TRY(value(property.values, typed ? property.signature : ""));
    if (!typed) property.signature = found;
    skip_space();
    if (at_ != text_.size()) return wrong("there is more after the value");
    return property;
  }

 private:
  Error wrong(std::string_view why) const {
    return Error{Kind::invalid, format_text("{} is not a GVariant text: {}", quote(text_), why)}.hint(
        "write it like \"uint64 5000000\", \"'text'\", \"true\" or \"['a', 'b']\"");
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string take_word(std::string_view letters) {
    const auto end = std::min(text_.find_first_not_of(letters, at_), text_.size());
    std::string word{text_.substr(at_, end - at_)};
    at_ = end;
    return word;
  }

  // Appends basic values; the type that was found. `expected`: "" = by the look of it.
  Result<std::string> value(std::vector<std::string>& into, const std::string& expected) {
    skip_space();
    if (take('[')) return array(into, expected);
    if (take('(')) return tuple(into, expected);
    return basic(into, expected);
  }
  Result<std::string> array(std::vector<std::string>& into, const std::string& expected) {
    if (!expected.empty() && expected.front() != 'a') return wrong("the type is not an array");
    std::string element = expected.empty() ? "" : expected.substr(1);
    skip_space();
    if (take(']')) {
      if (element.empty()) return wrong("an empty array needs a type, like \"@as []\"");
      return "a" + element;
    }
    do {
      const auto found = TRY(value(into, element));
      if (found.front() == 'a') return wrong("arrays of arrays are not supported");
      if (element.empty()) element = found;
      if (element != found) return wrong("the elements have different types");
      skip_space();
    } while (take(','));
    if (!take(']')) return wrong("\"]\" is missing");
    return "a" + element;
  }
  // Members have basic types: one letter each.
  Result<std::string> tuple(std::vector<std::string>& into, const std::string& expected) {
    std::string signature = "(";
    do {
      const auto member = expected.size() > signature.size() + 1 ? expected.substr(signature.size(), 1) : std::string{};
      const auto type = TRY(basic(into, member));
      signature += type;
      skip_space();
    } while (take(','));
    if (!take(')')) return wrong("\")\" is missing");
    signature += ')';
    if (!expected.empty() && signature != expected) return wrong(format_text("the type is {}", expected));
    return signature;
  }

  Result<std::string> basic(std::vector<std::string>& into, std::string expected) {
    skip_space();
    if (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) return quoted(into, expected);
    auto word = take_word("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const auto type = std::ranges::find(kTypes, word, &TypeName::keyword);
    if (type != kTypes.end()) {
      expected = type->code;
      skip_space();
      if (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) return quoted(into, expected);
      word = take_word("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    }
    if (word == "true" || word == "false") {
      if (!expected.empty() && expected != "b") return wrong("true and false are booleans");
      into.push_back(word);
      return std::string{"b"};
    }
    return numeric(into, word, expected);
  }
  Result<std::string> numeric(std::vector<std::string>& into, const std::string& word, std::string expected) {
    if (word.empty()) return wrong("a value is missing");
    if (expected.empty()) expected = word.find('.') == std::string::npos ? "i" : "d";
    if (expected == "d") {
      if (!parse_real(word).has_value()) return wrong(format_text("{} is no number", quote(word)));
    } else if (std::string_view{"yqut"}.find(expected) != std::string_view::npos) {
      const auto number = parse_uint64(word);
      const std::uint64_t most = expected == "y" ? 0xff : expected == "q" ? 0xffff : expected == "u" ? 0xffffffff : ~std::uint64_t{0};
      if (!number.has_value() || number.value() > most) return wrong(format_text("{} is no such number", quote(word)));
    } else if (std::string_view{"nix"}.find(expected) != std::string_view::npos) {
      const auto number = parse_int64(word);
      const std::int64_t most = expected == "n" ? 0x7fff : expected == "i" ? 0x7fffffff : 0x7fffffffffffffff;
      if (!number.has_value() || number.value() > most || number.value() < -most - 1)
        return wrong(format_text("{} is no such number", quote(word)));
    } else {
      return wrong(format_text("{} needs quotes", quote(word)));
    }
    into.push_back(word);
    return expected;
  }
  Result<std::string> quoted(std::vector<std::string>& into, const std::string& expected) {
    if (!expected.empty() && expected != "s" && expected != "o") return wrong("a text stands where none belongs");
    const char end = text_[at_++];
    std::string text;
    for (;;) {
      if (at_ >= text_.size()) return wrong("the closing quote is missing");
      char c = text_[at_++];
      if (c == end) break;
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
      }
      text += c;
    }
    into.push_back(std::move(text));
    return expected.empty() ? std::string{"s"} : expected;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// "TimeoutStopSec", and not "CPUQuotaPerSecUSec". Source: runc, docs/systemd.md.
bool is_in_seconds(std::string_view name) {
  if (!name.ends_with("Sec") || name.size() < 4) return false;
  const char before = name[name.size() - 4];
  return before >= 'a' && before <= 'z';
}

Status use_microseconds(Property& property) {
  constexpr double kMicroseconds = 1e6;
  constexpr double kMost = 1.8e13;  // seconds that fit into 64 bits of microseconds
  const auto number = property.values.size() == 1 ? parse_real(property.values.front()) : Error{Kind::invalid, "a list"};
  const double seconds = number.has_value() ? number.value() : -1;
  if (std::string_view{"nqiuxtd"}.find(property.signature) == std::string_view::npos || seconds < 0 || seconds >= kMost)
    return Error{Kind::invalid, format_text("{} needs a number of seconds", property.name)};
  property.name = property.name.substr(0, property.name.size() - 3) + "USec";
  property.signature = "t";
  property.values = {std::to_string(static_cast<std::uint64_t>(std::round(seconds * kMicroseconds)))};
  return ok();
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Result<Property> property_of(std::string_view name, std::string_view value) {
  if (name.size() < 3 || !std::ranges::all_of(name, is_letter)) return Error{Kind::invalid, "is not the name of a property"};
  if (std::ranges::find(kOurs, name) != kOurs.end()) return Error{Kind::invalid, "is set by husk and cannot be changed"};
  auto property = TRY(parse_variant(name, value));
  if (is_in_seconds(name)) TRY(use_microseconds(property));
  return property;
}

}  // namespace

Result<Property> parse_variant(std::string_view name, std::string_view text) { return VariantReader{text}.read(name); }

Result<std::vector<Property>> annotation_properties(const oci::StringMap& annotations) {
  std::vector<Property> properties;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kPropertyPrefix)) continue;
    const auto name = std::string_view{key}.substr(kPropertyPrefix.size());
    auto property = TRY(property_of(name, value).during(format_text("\"/annotations/{}\"", key)));
    put(properties, std::move(property));
  }
  return properties;
}

}  // namespace husk::cgroups::systemd
