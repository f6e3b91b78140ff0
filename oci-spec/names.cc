#include "oci-spec/names.h"

namespace husk::oci {

std::string_view namespace_name(NamespaceType type) {
  for (const auto& row : kNamespaceNames)
    if (row.type == type) return row.name;
  return "unknown";
}

std::optional<NamespaceType> find_namespace_type(std::string_view name) {
  for (const auto& row : kNamespaceNames)
    if (row.name == name) return row.type;
  return std::nullopt;
}

}  // namespace husk::oci
