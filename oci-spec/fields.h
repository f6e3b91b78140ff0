// Private to oci-spec: one line for each field of an object. `read` leaves the default when the
// property is absent, `read_required` makes absence an error; both check type and range.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>;

// Upper bounds on counts: far above real use, low enough that no loop over a document hurts.
inline constexpr std::size_t kMaxMounts = 4096;
inline constexpr std::size_t kMaxDevices = 4096;
inline constexpr std::size_t kMaxHooks = 256;         // of one stage
inline constexpr std::size_t kMaxRules = 8192;        // seccomp rules, device rules
inline constexpr std::size_t kMaxPaths = 4096;        // masked, read-only
inline constexpr std::size_t kMaxStrings = 65536;     // args, env, groups (NGROUPS_MAX), annotations
inline constexpr std::size_t kMaxSettings = 4096;     // sysctl, unified, network devices
inline constexpr std::size_t kMaxIdMappings = 340;    // man 7 user_namespaces

Status read(const JsonReader& object, std::string_view key, bool& into);
Status read(const JsonReader& object, std::string_view key, std::optional<bool>& into);
Status read(const JsonReader& object, std::string_view key, std::string& into);
Status read(const JsonReader& object, std::string_view key, std::vector<std::string>& into,
            std::size_t most = kMaxStrings);
Status read(const JsonReader& object, std::string_view key, StringMap& into, std::size_t most = kMaxStrings);
Status read_required(const JsonReader& object, std::string_view key, std::string& into);
Status check_count(const JsonReader& list, std::size_t count, std::size_t most);

template <Integer T>
Result<T> read_integer(const JsonReader& value) {
  if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(TRY(value.int64(std::numeric_limits<T>::min(), std::numeric_limits<T>::max())));
  } else {
    return static_cast<T>(TRY(value.uint64(std::numeric_limits<T>::max())));
  }
}

template <Integer T>
Status read(const JsonReader& object, std::string_view key, T& into) {
  if (const auto found = object.find(key)) into = TRY(read_integer<T>(*found));
  return ok();
}

template <Integer T>
Status read(const JsonReader& object, std::string_view key, std::optional<T>& into) {
  if (const auto found = object.find(key)) into = TRY(read_integer<T>(*found));
  return ok();
}

template <Integer T>
Status read_required(const JsonReader& object, std::string_view key, T& into) {
  const auto found = TRY(object.require(key));
  into = TRY(read_integer<T>(found));
  return ok();
}

template <Integer T>
Status read(const JsonReader& object, std::string_view key, std::vector<T>& into, std::size_t most = kMaxStrings) {
  const auto found = object.find(key);
  if (!found.has_value()) return ok();
  const auto elements = TRY(found->elements());
  TRY(check_count(*found, elements.size(), most));
  for (const auto& element : elements) into.push_back(TRY(read_integer<T>(element)));
  return ok();
}

// An object: `parse` gets a reader of it and gives a Result<T>.
template <class T, class Parse>
Status read_object(const JsonReader& object, std::string_view key, T& into, Parse parse) {
  const auto found = object.find(key);
  if (!found.has_value()) return ok();
  TRY(found->expect_object());
  into = TRY(parse(*found));
  return ok();
}

// An array of objects.
template <class T, class Parse>
Status read_list(const JsonReader& object, std::string_view key, std::vector<T>& into, std::size_t most, Parse parse) {
  const auto found = object.find(key);
  if (!found.has_value()) return ok();
  const auto elements = TRY(found->elements());
  TRY(check_count(*found, elements.size(), most));
  for (const auto& element : elements) {
    TRY(element.expect_object());
    into.push_back(TRY(parse(element)));
  }
  return ok();
}

}  // namespace husk::oci
