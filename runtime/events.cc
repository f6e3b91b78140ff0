#include "events.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "oom_watch.h"
#include "resctrl.h"
#include "stats_json.h"

namespace husk::runtime {
namespace {

using oci::Json;

constexpr std::int64_t kNsPerMs = 1'000'000;

struct Watched {
  Record record;
  UniqueFd init;
  std::unique_ptr<cgroups::Cgroup> cgroup;
};

Result<Watched> open_watched(const StateStore& store, const ContainerId& id) {
  const auto directory = TRY(store.open(id));
  auto record = directory.read();
  if (!record.has_value()) return std::move(record).error();
  auto init = TRY(open_alive(record.value().init));
  if (!init.has_value()) return Error{Kind::wrong_state, "container not running: no such process"};
  if (record.value().cgroup_path.empty())
    return Error{Kind::unsupported, "the container has no cgroup, so nothing is counted"};
  auto cgroup = TRY(open_cgroup(record.value()));
  return Watched{.record = std::move(record).value(), .init = std::move(init).value(), .cgroup = std::move(cgroup)};
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::array kUnits{Unit{"ms", kNsPerMs},          Unit{"us", 1000},          Unit{"ns", 1},
                            Unit{"s", 1000 * kNsPerMs},    Unit{"m", 60000 * kNsPerMs}, Unit{"h", 3600000 * kNsPerMs}};

// The first "12ms" of the text; the text is cut behind it.
std::optional<std::int64_t> take_part(std::string_view& text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_uint32(text.substr(0, digits));
  text.remove_prefix(digits);
  if (!number.has_value()) return std::nullopt;
  for (const auto& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    if (number.value() > std::numeric_limits<std::int64_t>::max() / 4 / unit.ns) return std::nullopt;
    return static_cast<std::int64_t>(number.value()) * unit.ns;
  }
  return std::nullopt;
}

std::optional<OomWatch> watch_oom(const Record& record) {
  auto watch = OomWatch::create(record.cgroup_path, record.cgroup_version);
  if (watch.has_value()) return std::move(watch).value();
  log::warning(Error{watch.error()}.during("out-of-memory kills are not told").to_string());
  return std::nullopt;
}

Json event_of(const Watched& watched, const cgroups::Stats& stats) {
  return stats_event(watched.record.id, stats, read_interfaces(watched.record.init.pid), rdt_statistics(watched.record.rdt));
}

// The cgroup of a container that ends at this moment may be gone.
Status show_now(const Watched& watched, const Show& show) {
  const auto stats = watched.cgroup->stats();
  if (!stats.has_value()) return ok();
  return show(event_of(watched, stats.value()));
}

}  // namespace

Json oom_event(const std::string& id) {
  auto event = Json::object();
  event.set("type", "oom").set("id", id);
  return event;
}

Result<std::int64_t> parse_interval(std::string_view text) {
  const Error wrong = Error{Kind::invalid, format_text("--interval {}: must be a duration above 0", quote(text))}.hint(
      "write 5s, 1m30s or 250ms");
  std::int64_t sum = 0;
  while (!text.empty()) {
    const auto part = take_part(text);
    if (!part.has_value() || *part > std::numeric_limits<std::int64_t>::max() / 2 - sum) return wrong;
    sum += *part;
  }
  if (sum <= 0) return wrong;
  return sum;
}

Status show_stats(const StateStore& store, const ContainerId& id, const Show& show) {
  const auto watched = TRY(open_watched(store, id));
  const auto stats = TRY(watched.cgroup->stats());
  return show(event_of(watched, stats));
}

Status follow_events(const StateStore& store, const ContainerId& id, std::int64_t interval_ns, const Show& show) {
  const auto watched = TRY(open_watched(store, id));
  auto oom = watch_oom(watched.record);
  // The interval is the only clock, and the caller's wish: everything else is told by the kernel.
  const auto interval = TRY(sys::timerfd());
  TRY(show_now(watched, show));
  TRY(sys::timerfd_arm(interval.get(), interval_ns));
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = watched.init.get(), .events = POLLIN},
                                        {.fd = oom.has_value() ? oom->fd() : -1, .events = POLLIN},
                                        {.fd = interval.get(), .events = POLLIN}};
    TRY(sys::poll(entries, -1));
    if (entries[1].revents != 0 && oom->take_event()) TRY(show(oom_event(watched.record.id)));
    if (entries[0].revents != 0) {
      if (oom.has_value() && oom->take_late_kill()) TRY(show(oom_event(watched.record.id)));
      return ok();
    }
    if (entries[2].revents == 0) continue;
    TRY(show_now(watched, show));
    TRY(sys::timerfd_arm(interval.get(), interval_ns));  // arming takes the expiry back, too
  }
}

}  // namespace husk::runtime
