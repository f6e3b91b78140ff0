// Json: a JSON value that keeps member order, refuses duplicate keys and bounds its depth.
// JsonReader: a cursor with its JSON pointer, so that each error says where.
// The parser is nlohmann's (json.cc is the only file that includes it).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace husk::oci {

class Json {
 public:
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;

  Json();  // null
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();
  Json(bool value);                // NOLINT: literals read well in builders
  Json(int value);                 // NOLINT
  Json(std::int64_t value);        // NOLINT
  Json(std::uint32_t value);       // NOLINT
  Json(std::uint64_t value);       // NOLINT
  Json(double value);              // NOLINT
  Json(const char* value);         // NOLINT
  Json(std::string value);         // NOLINT
  Json(std::string_view value);    // NOLINT
  Json(const std::vector<std::string>& values);  // NOLINT
  static Json array();
  static Json object();

  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  std::string_view type_name() const;  // "null", "boolean", "number", "string", "array", "object"

  const bool* as_boolean() const;
  const std::string* as_string() const;
  // Integral numbers only; 1.0 is a real. nullopt when it does not fit.
  std::optional<std::int64_t> as_int64() const;
  std::optional<std::uint64_t> as_uint64() const;
  std::optional<double> as_double() const;
  const Array* as_array() const;
  const Object* as_object() const;

  const Json* find(std::string_view key) const;  // object member or nullptr
  Json& set(std::string key, Json value);        // object: replaces or appends; returns *this
  Json& append(std::string key, Json value);     // object: appends; the caller knows the key is new
  Json& push(Json value);                        // array: appends; returns *this

  // Compact for indent < 0, else pretty. Bytes that are not UTF-8 become U+FFFD.
  std::string dump(int indent = -1) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string name;
  Json value;
};

struct JsonLimits {
  std::size_t max_bytes = 16U << 20U;
  int max_depth = 64;
};
// Errors: invalid, with the byte offset. Duplicate keys are errors (I-JSON, RFC 7493 section 2.3).
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// "a/b" → "a~1b". Source: RFC 6901 section 3.
std::string escape_pointer(std::string_view name);

// A borrowed value with its place. Lives no longer than the Json it reads.
class JsonReader {
 public:
  explicit JsonReader(const Json& root) : json_{&root} {}

  const Json& json() const { return *json_; }
  const std::string& pointer() const { return pointer_; }
  // An error that names this place: `"/linux/resources": what`.
  Error error(std::string what) const;

  Result<bool> boolean() const;
  Result<std::string> string() const;
  Result<std::int64_t> int64(std::int64_t lowest = std::numeric_limits<std::int64_t>::min(),
                             std::int64_t highest = std::numeric_limits<std::int64_t>::max()) const;
  Result<std::uint64_t> uint64(std::uint64_t highest = std::numeric_limits<std::uint64_t>::max()) const;
  Result<std::uint32_t> uint32() const;
  Result<std::vector<JsonReader>> elements() const;
  Result<std::vector<std::string>> strings() const;
  struct NamedReader;
  Result<std::vector<NamedReader>> members() const;
  Status expect_object() const;

  // A member; null counts as absent. `find` on a value that is no object is nullopt: call
  // expect_object first where that matters.
  std::optional<JsonReader> find(std::string_view key) const;
  Result<JsonReader> require(std::string_view key) const;

  // Optional members in one line: absent → nullopt, wrong type → error with the pointer.
  Result<std::optional<bool>> find_boolean(std::string_view key) const;
  Result<std::optional<std::string>> find_string(std::string_view key) const;
  Result<std::optional<std::int64_t>> find_int64(std::string_view key) const;
  Result<std::optional<std::uint64_t>> find_uint64(std::string_view key) const;
  Result<std::optional<std::uint32_t>> find_uint32(std::string_view key) const;
  Result<std::vector<std::string>> find_strings(std::string_view key) const;  // absent → empty
  Result<std::vector<std::pair<std::string, std::string>>> find_string_map(std::string_view key) const;

 private:
  JsonReader(const Json& json, std::string pointer) : json_{&json}, pointer_{std::move(pointer)} {}
  const Json* json_;
  std::string pointer_;
};

struct JsonReader::NamedReader {
  std::string name;
  JsonReader value;
};

}  // namespace husk::oci
