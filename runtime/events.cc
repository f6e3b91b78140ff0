#include "events.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "base/clock.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "oom_watch.h"

namespace husk::runtime {
namespace {

using oci::Json;

constexpr std::int64_t kNsPerMs = 1'000'000;

Json memory_json(const cgroups::MemoryStats& memory) {
  auto usage = Json::object();
  usage.set("usage", memory.usage_bytes);
  if (memory.limit_bytes != 0) usage.set("limit", memory.limit_bytes);
  auto raw = Json::object();
  raw.set("rss", memory.rss_bytes).set("working_set", memory.working_set_bytes).set("swap", memory.swap_bytes);
  raw.set("pgfault", memory.page_faults).set("pgmajfault", memory.major_page_faults).set("oom_kill", memory.oom_kills);
  auto swap = Json::object();
  swap.set("usage", memory.swap_bytes);
  auto json = Json::object();
  json.set("usage", std::move(usage)).set("swap", std::move(swap)).set("raw", std::move(raw));
  return json;
}

struct Watched {
  Record record;
  UniqueFd init;
  std::unique_ptr<cgroups::Cgroup> cgroup;
};

Result<Watched> open_watched(const StateStore& store, const ContainerId& id) {
  const auto directory = TRY(store.open(id));
  auto record = directory.read();
  if (!record.has_value() && record.error().kind() == Kind::not_found) return does_not_exist(id.text());
  if (!record.has_value()) return std::move(record).error();
  auto init = TRY(open_alive(record.value().init));
  if (!init.has_value()) return Error{Kind::wrong_state, "container not running: no such process"};
  if (record.value().cgroup_path.empty())
    return Error{Kind::unsupported, "the container has no cgroup (--cgroup-manager disabled), so nothing is counted"};
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

// The cgroup of a container that ends at this moment may be gone.
Status show_now(const Watched& watched, const Show& show) {
  const auto stats = watched.cgroup->stats();
  return stats.has_value() ? show(stats_event(watched.record.id, stats.value())) : ok();
}

int ms_until(std::int64_t when_ns) {
  const auto left = std::max<std::int64_t>(when_ns - now_monotonic_ns(), 0) + kNsPerMs - 1;
  return static_cast<int>(std::min<std::int64_t>(left / kNsPerMs, std::numeric_limits<int>::max()));
}

}  // namespace

Json stats_event(const std::string& id, const cgroups::Stats& stats) {
  auto usage = Json::object();
  usage.set("total", stats.cpu_usage_ns);
  auto throttling = Json::object();
  throttling.set("throttledTime", stats.cpu_throttled_ns);
  auto cpu = Json::object();
  cpu.set("usage", std::move(usage)).set("throttling", std::move(throttling));
  auto pids = Json::object();
  pids.set("current", stats.pids);
  auto data = Json::object();
  data.set("cpu", std::move(cpu)).set("memory", memory_json(stats.memory)).set("pids", std::move(pids));
  auto event = Json::object();
  event.set("type", "stats").set("id", id).set("data", std::move(data));
  return event;
}

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
  return show(stats_event(watched.record.id, stats));
}

Status follow_events(const StateStore& store, const ContainerId& id, std::int64_t interval_ns, const Show& show) {
  const auto watched = TRY(open_watched(store, id));
  auto oom = watch_oom(watched.record);
  auto next_ns = now_monotonic_ns();
  for (;;) {
    if (now_monotonic_ns() >= next_ns) {
      TRY(show_now(watched, show));
      next_ns = now_monotonic_ns() + interval_ns;
    }
    std::vector<sys::PollEntry> entries{{.fd = watched.init.get(), .events = POLLIN},
                                        {.fd = oom.has_value() ? oom->fd() : -1, .events = POLLIN}};
    TRY(sys::poll(entries, ms_until(next_ns)));
    if (entries[1].revents != 0 && oom->take_event()) TRY(show(oom_event(watched.record.id)));
    if (entries[0].revents == 0) continue;
    if (oom.has_value() && oom->take_late_kill()) TRY(show(oom_event(watched.record.id)));
    return ok();
  }
}

}  // namespace husk::runtime
