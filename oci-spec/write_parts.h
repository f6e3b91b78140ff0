// Private to oci-spec: builders of config.json's parts. What is absent or has its default value is
// not written, unless the specification says REQUIRED.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci-spec/fields.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

void put(Json& object, std::string_view key, const std::string& value);
void put(Json& object, std::string_view key, bool value);
void put(Json& object, std::string_view key, const std::optional<bool>& value);
void put(Json& object, std::string_view key, const std::vector<std::string>& values);
void put(Json& object, std::string_view key, const StringMap& map);

template <Integer T>
Json number(T value) {
  if constexpr (std::is_signed_v<T>) {
    return Json{static_cast<std::int64_t>(value)};
  } else {
    return Json{static_cast<std::uint64_t>(value)};
  }
}

template <Integer T>
void put_required(Json& object, std::string_view key, T value) {
  object.set(std::string{key}, number(value));
}

template <Integer T>
void put(Json& object, std::string_view key, T value) {
  if (value != 0) put_required(object, key, value);
}

template <Integer T>
void put(Json& object, std::string_view key, const std::optional<T>& value) {
  if (value.has_value()) put_required(object, key, *value);
}

template <Integer T>
void put(Json& object, std::string_view key, const std::vector<T>& values) {
  if (values.empty()) return;
  Json array = Json::array();
  for (const auto value : values) array.push(number(value));
  object.set(std::string{key}, std::move(array));
}

template <class T, class Make>
void put_list(Json& object, std::string_view key, const std::vector<T>& values, Make make) {
  if (values.empty()) return;
  Json array = Json::array();
  for (const auto& value : values) array.push(make(value));
  object.set(std::string{key}, std::move(array));
}

template <class T, class Make>
void put_object(Json& object, std::string_view key, const std::optional<T>& value, Make make) {
  if (value.has_value()) object.set(std::string{key}, make(*value));
}

Json process_json(const Process& process);        // write_process.cc
Json resources_json(const Resources& resources);  // write_resources.cc
Json linux_json(const Linux& linux_part);         // write_linux.cc
Json id_mapping_json(const IdMapping& mapping);

}  // namespace husk::oci
