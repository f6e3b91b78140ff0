// What the systemd driver asks of systemd, as data: a scope, its slice and its properties.
// Source: man 5 systemd.scope, man 5 org.freedesktop.systemd1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cgroups::systemd {

enum class Manager : std::uint8_t { system, user };
std::string_view name_of(Manager manager);  // "system", "user"

// A property with its D-Bus type ("t", "as", "a(ss)") and the basic values of it in order, as text; "ay" is hex.
struct Property {
  std::string name;
  std::string signature;
  std::vector<std::string> values;
  bool operator==(const Property&) const = default;
};

struct ScopePlan {
  std::string unit;   // "husk-web-1.scope"
  std::string slice;  // "kubepods-burstable.slice"
  Manager manager = Manager::system;
  std::vector<Property> properties;
};

// What beside the resources decides about a scope.
struct ScopeOptions {
  Manager manager = Manager::system;
  oci::StringMap annotations;  // org.systemd.property.*
};

// "slice:prefix:name" → <prefix>-<name>.scope in the slice; "" → husk-<id>.scope in system.slice or user.slice.
// Errors: invalid, with the right form. Source: runc, docs/systemd.md.
Result<ScopePlan> parse_scope_path(std::string_view cgroups_path, std::string_view id, Manager manager);

// "a-b.slice" → "/a.slice/a-b.slice"; "-.slice" → "". Source: man 5 systemd.slice.
Result<std::string> expand_slice(std::string_view slice);

// Sets a property; one of the same name gives way.
void put(std::vector<Property>& properties, Property property);

}  // namespace husk::cgroups::systemd
