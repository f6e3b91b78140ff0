// A valid config.json with one value replaced: each row of a table is one rule.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "harness/harness.h"
#include "oci-spec/parse_config.h"

namespace husk::oci::test {

inline constexpr std::string_view kBase = R"({"ociVersion":"1.3.0","root":{"path":"rootfs"},
  "process":{"user":{"uid":0,"gid":0},"args":["sh"],"cwd":"/"},
  "linux":{"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"network"},{"type":"ipc"},{"type":"time"}]}})";

// Sets the member that the pointer names, making objects on the way. A null value removes it.
inline Json patched(const Json& json, std::string_view pointer, const Json& value) {
  if (pointer.empty()) return value;
  const auto end = pointer.find('/', 1);
  const std::string name{pointer.substr(1, end == std::string_view::npos ? end : end - 1)};
  const auto rest = end == std::string_view::npos ? std::string_view{} : pointer.substr(end);
  Json copy = json.is_object() ? json : Json::object();
  const Json* old = copy.find(name);
  Json member = patched(old != nullptr ? *old : Json::object(), rest, value);
  copy.set(name, std::move(member));
  return copy;
}

inline std::string config_with(std::string_view pointer, std::string_view value) {
  const auto base = parse_json(kBase);
  const auto patch = parse_json(value);
  REQUIRE_OK(base);
  REQUIRE_OK(patch);
  return patched(base.value(), pointer, patch.value()).dump();
}

struct Row {
  std::string_view pointer;
  std::string_view value;  // JSON
  std::string_view error;  // part of the text; "" = accepted
};

inline void check_rows(std::initializer_list<Row> rows) {
  for (const auto& row : rows) {
    CAPTURE(row.pointer);
    CAPTURE(row.value);
    const auto spec = parse_config(config_with(row.pointer, row.value));
    if (row.error.empty()) {
      CHECK_OK(spec);
      continue;
    }
    const auto text = husk::test::error_text(spec);
    CAPTURE(text);
    CHECK_FALSE(spec.has_value());
    CHECK(text.find(row.error) != std::string::npos);
    if (!spec.has_value()) CHECK(spec.error().kind() == Kind::invalid);
  }
}

}  // namespace husk::oci::test
