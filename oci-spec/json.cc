#include "oci-spec/json.h"

#include <cmath>
#include <unordered_set>

#define JSON_NO_IO 1
#include <nlohmann/json.hpp>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"

namespace husk::oci {

// Builds our value from nlohmann's SAX events. The stack holds the open containers.
class JsonBuilder {
 public:
  explicit JsonBuilder(int max_depth) : max_depth_{max_depth} {}

  bool null() { return add(Json{}); }
  bool boolean(bool value) { return add(Json{value}); }
  bool number_integer(std::int64_t value) { return add(Json{value}); }
  bool number_unsigned(std::uint64_t value) { return add(Json{value}); }
  bool number_float(double value, const std::string&) { return add(Json{value}); }
  // A copy of its exact size: nlohmann's buffer keeps its memory for the next string.
  bool string(const std::string& value) { return add(Json{std::string_view{value}}); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(const std::string& name) {
    if (!stack_.back().add_name(name)) return fail(format_text("duplicate key {}", quote(name)));
    stack_.back().key = name;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
    std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at …: text"
    if (const auto at = what.find(": "); at != std::string_view::npos) what.remove_prefix(at + 2);
    return fail(format_text("byte {}: {}", position, what));
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  struct Open {
    Json value;
    std::string key;
    std::unordered_set<std::string> names;  // of a large object; empty while it is small

    // False when the object has that name. A search is faster than a set for few members, but a
    // document of a million members must not cost their square.
    bool add_name(const std::string& name) {
      constexpr std::size_t kFew = 32;
      const auto& members = *value.as_object();
      if (members.size() < kFew) return value.find(name) == nullptr;
      if (names.empty())
        for (const auto& member : members) names.insert(member.name);
      return names.insert(name).second;
    }
  };
  bool fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
    return false;
  }
  bool add(Json&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (stack_.back().value.is_array()) {
      stack_.back().value.push(std::move(value));
    } else {
      stack_.back().value.append(std::move(stack_.back().key), std::move(value));
    }
    return true;
  }
  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= max_depth_)
      return fail(format_text("nested more than {} levels deep", max_depth_));
    stack_.push_back({.value = std::move(container), .key = {}, .names = {}});
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(done));
  }

  int max_depth_;
  std::vector<Open> stack_;
  Json root_;
  std::string error_;
};

namespace {

void append_newline(std::string& out, int indent, int depth) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
}

void append_value(std::string& out, const Json& json, int indent, int depth);

void append_array(std::string& out, const Json::Array& array, int indent, int depth) {
  out += '[';
  for (const auto& element : array) {
    if (&element != &array.front()) out += ',';
    append_newline(out, indent, depth + 1);
    append_value(out, element, indent, depth + 1);
  }
  if (!array.empty()) append_newline(out, indent, depth);
  out += ']';
}

void append_object(std::string& out, const Json::Object& object, int indent, int depth) {
  out += '{';
  for (const auto& member : object) {
    if (&member != &object.front()) out += ',';
    append_newline(out, indent, depth + 1);
    out += log::json_string(member.name);
    out += indent < 0 ? ":" : ": ";
    append_value(out, member.value, indent, depth + 1);
  }
  if (!object.empty()) append_newline(out, indent, depth);
  out += '}';
}

void append_value(std::string& out, const Json& json, int indent, int depth) {
  if (const auto* object = json.as_object()) return append_object(out, *object, indent, depth);
  if (const auto* array = json.as_array()) return append_array(out, *array, indent, depth);
  if (const auto* text = json.as_string()) {
    out += log::json_string(*text);
  } else if (const auto* flag = json.as_boolean()) {
    out += *flag ? "true" : "false";
  } else if (const auto integer = json.as_int64()) {
    out += format_text("{}", *integer);
  } else if (const auto large = json.as_uint64()) {
    out += format_text("{}", *large);
  } else if (const auto real = json.as_double(); real.has_value() && std::isfinite(*real)) {
    const auto digits = format_text("{}", *real);
    out += digits;
    if (digits.find_first_of(".e") == std::string::npos) out += ".0";  // stays a real when it is read again
  } else {
    out += "null";
  }
}

}  // namespace

Json::Json() = default;
Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;
Json::Json(bool value) : value_{value} {}
Json::Json(int value) : value_{static_cast<std::int64_t>(value)} {}
Json::Json(std::int64_t value) : value_{value} {}
Json::Json(std::uint32_t value) : value_{static_cast<std::int64_t>(value)} {}
Json::Json(std::uint64_t value) : value_{value} {}
Json::Json(double value) : value_{value} {}
Json::Json(const char* value) : value_{std::string{value}} {}
Json::Json(std::string value) : value_{std::move(value)} {}
Json::Json(std::string_view value) : value_{std::string{value}} {}
Json::Json(const std::vector<std::string>& values) : value_{Array{}} {
  for (const auto& value : values) push(Json{value});
}
Json Json::array() {
  Json json;
  json.value_ = Array{};
  return json;
}
Json Json::object() {
  Json json;
  json.value_ = Object{};
  return json;
}

bool Json::is_null() const { return std::holds_alternative<std::monostate>(value_); }
bool Json::is_object() const { return as_object() != nullptr; }
bool Json::is_array() const { return as_array() != nullptr; }
bool Json::is_string() const { return as_string() != nullptr; }

std::string_view Json::type_name() const {
  if (is_null()) return "null";
  if (as_boolean() != nullptr) return "boolean";
  if (is_string()) return "string";
  if (is_array()) return "array";
  if (is_object()) return "object";
  return "number";
}

const bool* Json::as_boolean() const { return std::get_if<bool>(&value_); }
const std::string* Json::as_string() const { return std::get_if<std::string>(&value_); }
const Json::Array* Json::as_array() const { return std::get_if<Array>(&value_); }
const Json::Object* Json::as_object() const { return std::get_if<Object>(&value_); }

std::optional<std::int64_t> Json::as_int64() const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
  const auto* value = std::get_if<std::uint64_t>(&value_);
  if (value != nullptr && *value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return static_cast<std::int64_t>(*value);
  return std::nullopt;
}

std::optional<std::uint64_t> Json::as_uint64() const {
  if (const auto* value = std::get_if<std::uint64_t>(&value_)) return *value;
  const auto* value = std::get_if<std::int64_t>(&value_);
  if (value != nullptr && *value >= 0) return static_cast<std::uint64_t>(*value);
  return std::nullopt;
}

std::optional<double> Json::as_double() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*value);
  return std::nullopt;
}

const Json* Json::find(std::string_view key) const {
  const auto* object = as_object();
  if (object == nullptr) return nullptr;
  for (const auto& member : *object)
    if (member.name == key) return &member.value;
  return nullptr;
}

Json& Json::set(std::string key, Json value) {
  auto* object = std::get_if<Object>(&value_);
  require(object != nullptr, "Json::set on a value that is no object");
  for (auto& member : *object) {
    if (member.name != key) continue;
    member.value = std::move(value);
    return *this;
  }
  object->push_back({.name = std::move(key), .value = std::move(value)});
  return *this;
}

Json& Json::append(std::string key, Json value) {
  auto* object = std::get_if<Object>(&value_);
  require(object != nullptr, "Json::append on a value that is no object");
  object->push_back({.name = std::move(key), .value = std::move(value)});
  return *this;
}

Json& Json::push(Json value) {
  auto* array = std::get_if<Array>(&value_);
  require(array != nullptr, "Json::push on a value that is no array");
  array->push_back(std::move(value));
  return *this;
}

std::string Json::dump(int indent) const {
  std::string out;
  append_value(out, *this, indent, 0);
  return out;
}

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return Error{Kind::invalid, format_text("JSON text of {} bytes is larger than {}", text.size(), limits.max_bytes)};
  JsonBuilder builder{limits.max_depth};
  bool done = false;
  try {
    done = nlohmann::json::sax_parse(text, &builder);
  } catch (const nlohmann::json::exception& error) {
    return Error{Kind::invalid, error.what()}.during("invalid JSON");
  }
  if (!done) return Error{Kind::invalid, builder.error()}.during("invalid JSON");
  return builder.take();
}

}  // namespace husk::oci
