// Properties → a D-Bus message. Source: D-Bus specification, "Type System".
#pragma once

#include <systemd/sd-bus.h>

#include "base/result.h"
#include "cgroups/systemd/unit.h"

namespace husk::cgroups::systemd {

// Appends the value alone. Errors: invalid.
Status append_value(sd_bus_message* message, const Property& property);

// Appends a(sv). Errors: invalid, with the property.
Status append_properties(sd_bus_message* message, const std::vector<Property>& properties);

}  // namespace husk::cgroups::systemd
