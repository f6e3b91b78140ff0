// org.systemd.property.NAME annotations → properties, values in GVariant's text form.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/systemd/unit.h"

namespace husk::cgroups::systemd {

inline constexpr std::string_view kPropertyPrefix = "org.systemd.property.";

// "uint64 10000000", "'text'", "true", "15", "['a', 'b']", "[('/dev/null', 'rw')]", "@as []".
// Source: GLib, "GVariant Text Format". Errors: invalid.
Result<Property> parse_variant(std::string_view name, std::string_view text);

// All of them in order. A name in seconds becomes the one in microseconds that systemd has: TimeoutStopSec "5" →
// TimeoutStopUSec 5000000. Source: runc, docs/systemd.md. Errors: invalid, with the annotation.
Result<std::vector<Property>> annotation_properties(const oci::StringMap& annotations);

}  // namespace husk::cgroups::systemd
