// husk events: use and out-of-memory kills of a container, one JSON object a line, as runc prints them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "oci-spec/json.h"
#include "store.h"

namespace husk::runtime {

oci::Json oom_event(const std::string& id);

// Go's form of a duration: "5s", "1m30s", "250ms"; nanoseconds. More than 0.
Result<std::int64_t> parse_interval(std::string_view text);

using Show = std::function<Status(const oci::Json& event)>;
Status show_stats(const StateStore& store, const ContainerId& id, const Show& show);
// Until the container ends: statistics at once and after each interval, kills when they happen.
Status follow_events(const StateStore& store, const ContainerId& id, std::int64_t interval_ns, const Show& show);

}  // namespace husk::runtime
