#include "oci-spec/fields.h"

#include "base/format.h"

namespace husk::oci {

Status check_count(const JsonReader& list, std::size_t count, std::size_t most) {
  if (count > most) return list.error(format_text("has {} entries, at most {} are accepted", count, most));
  return ok();
}

Status read(const JsonReader& object, std::string_view key, bool& into) {
  if (const auto found = object.find(key)) into = TRY(found->boolean());
  return ok();
}

Status read(const JsonReader& object, std::string_view key, std::optional<bool>& into) {
  into = TRY(object.find_boolean(key));
  return ok();
}

Status read(const JsonReader& object, std::string_view key, std::string& into) {
  if (const auto found = object.find(key)) into = TRY(found->string());
  return ok();
}

Status read(const JsonReader& object, std::string_view key, std::vector<std::string>& into, std::size_t most) {
  const auto found = object.find(key);
  if (!found.has_value()) return ok();
  auto values = TRY(found->strings());
  TRY(check_count(*found, values.size(), most));
  into = std::move(values);
  return ok();
}

Status read(const JsonReader& object, std::string_view key, StringMap& into, std::size_t most) {
  const auto found = object.find(key);
  if (!found.has_value()) return ok();
  auto values = TRY(object.find_string_map(key));
  TRY(check_count(*found, values.size(), most));
  into = std::move(values);
  return ok();
}

Status read_required(const JsonReader& object, std::string_view key, std::string& into) {
  const auto found = TRY(object.require(key));
  into = TRY(found.string());
  return ok();
}

}  // namespace husk::oci
