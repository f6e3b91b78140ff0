#include "oci-spec/json.h"

#include "base/format.h"
#include "base/text.h"

namespace husk::oci {
namespace {

void append_escaped(std::string& out, std::string_view name) {
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
}

std::string member_pointer(const std::string& object, std::string_view name) {
  std::string pointer;
  pointer.reserve(object.size() + 1 + name.size());
  pointer.append(object).append("/");
  append_escaped(pointer, name);
  return pointer;
}

}  // namespace

std::string escape_pointer(std::string_view name) {
  std::string out;
  append_escaped(out, name);
  return out;
}

Error JsonReader::error(std::string what) const {
  return Error{Kind::invalid, format_text("\"{}\": {}", pointer_.empty() ? "/" : pointer_, what)};
}

Result<bool> JsonReader::boolean() const {
  if (const auto* value = json_->as_boolean()) return *value;
  return error(format_text("must be a boolean, not {}", json_->type_name()));
}

Result<std::string> JsonReader::string() const {
  if (const auto* value = json_->as_string()) {
    // Every string here ends up in a C call sooner or later, where a NUL would cut it short.
    if (value->find('\0') != std::string::npos) return error("must not contain a NUL character");
    return *value;
  }
  return error(format_text("must be a string, not {}", json_->type_name()));
}

Result<std::int64_t> JsonReader::int64(std::int64_t lowest, std::int64_t highest) const {
  const auto value = json_->as_int64();
  if (!value.has_value() && json_->type_name() != "number")
    return error(format_text("must be an integer, not {}", json_->type_name()));
  if (!value.has_value() || *value < lowest || *value > highest)
    return error(format_text("{} is not an integer from {} to {}", json_->dump(), lowest, highest));
  return *value;
}

Result<std::uint64_t> JsonReader::uint64(std::uint64_t highest) const {
  const auto value = json_->as_uint64();
  if (!value.has_value() && json_->type_name() != "number")
    return error(format_text("must be an integer, not {}", json_->type_name()));
  if (!value.has_value() || *value > highest)
    return error(format_text("{} is not an integer from 0 to {}", json_->dump(), highest));
  return *value;
}

Result<std::uint32_t> JsonReader::uint32() const {
  return static_cast<std::uint32_t>(TRY(uint64(std::numeric_limits<std::uint32_t>::max())));
}

Result<std::vector<JsonReader>> JsonReader::elements() const {
  const auto* array = json_->as_array();
  if (array == nullptr) return error(format_text("must be an array, not {}", json_->type_name()));
  std::vector<JsonReader> readers;
  readers.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i)
    readers.push_back(JsonReader{(*array)[i], format_text("{}/{}", pointer_, i)});
  return readers;
}

Result<std::vector<std::string>> JsonReader::strings() const {
  const auto* array = json_->as_array();
  if (array == nullptr) return error(format_text("must be an array, not {}", json_->type_name()));
  std::vector<std::string> values;
  values.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto* text = (*array)[i].as_string();
    // A seccomp profile has hundreds of names: only the one that is wrong gets a pointer.
    if (text == nullptr || text->find('\0') != std::string::npos)
      return JsonReader{(*array)[i], format_text("{}/{}", pointer_, i)}.string().error();
    values.push_back(*text);
  }
  return values;
}

Result<std::vector<JsonReader::NamedReader>> JsonReader::members() const {
  TRY(expect_object());
  std::vector<NamedReader> readers;
  for (const auto& member : *json_->as_object())
    readers.push_back({.name = member.name, .value = JsonReader{member.value, member_pointer(pointer_, member.name)}});
  return readers;
}

Status JsonReader::expect_object() const {
  if (!json_->is_object()) return error(format_text("must be an object, not {}", json_->type_name()));
  return ok();
}

std::optional<JsonReader> JsonReader::find(std::string_view key) const {
  const auto* value = json_->find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return JsonReader{*value, member_pointer(pointer_, key)};
}

Result<JsonReader> JsonReader::require(std::string_view key) const {
  TRY(expect_object());
  auto found = find(key);
  if (!found.has_value()) return error(format_text("required property {} is missing", quote(key)));
  return *std::move(found);
}

Result<std::optional<bool>> JsonReader::find_boolean(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::optional<bool>{};
  return std::optional{TRY(found->boolean())};
}

Result<std::optional<std::string>> JsonReader::find_string(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::optional<std::string>{};
  return std::optional{TRY(found->string())};
}

Result<std::optional<std::int64_t>> JsonReader::find_int64(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::optional<std::int64_t>{};
  return std::optional{TRY(found->int64())};
}

Result<std::optional<std::uint64_t>> JsonReader::find_uint64(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::optional<std::uint64_t>{};
  return std::optional{TRY(found->uint64())};
}

Result<std::optional<std::uint32_t>> JsonReader::find_uint32(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::optional<std::uint32_t>{};
  return std::optional{TRY(found->uint32())};
}

Result<std::vector<std::string>> JsonReader::find_strings(std::string_view key) const {
  const auto found = find(key);
  if (!found.has_value()) return std::vector<std::string>{};
  return found->strings();
}

Result<std::vector<std::pair<std::string, std::string>>> JsonReader::find_string_map(std::string_view key) const {
  std::vector<std::pair<std::string, std::string>> map;
  const auto found = find(key);
  if (!found.has_value()) return map;
  for (const auto& member : TRY(found->members())) map.emplace_back(member.name, TRY(member.value.string()));
  return map;
}

}  // namespace husk::oci
