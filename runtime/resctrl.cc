#include "resctrl.h"

#include <errno.h>
#include <linux/magic.h>

#include <map>
#include <optional>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr const char* kUsualPlace = "/sys/fs/resctrl";
constexpr const char* kRootGroup = ".";
constexpr std::size_t kMaxFile = 1U << 16U;
constexpr long kResctrlMagic = 0x7655821;  // RDTGROUP_SUPER_MAGIC, not in the uapi headers of Debian 12

bool is_bandwidth(std::string_view line) { return trim(line).starts_with("MB:"); }

// "L3:0=7f0;1=1f" → {"L3:0", "7f0"}, {"L3:1", "1f"}. Later lines win.
using Values = std::map<std::string, std::string, std::less<>>;
void add_values(Values& values, std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const auto resource = trim(line.substr(0, colon));
  for (const auto part : split(line.substr(colon + 1), ';')) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    auto value = trim(part.substr(equals + 1));
    while (value.size() > 1 && value.starts_with('0')) value.remove_prefix(1);  // the kernel pads masks
    values[format_text("{}:{}", resource, trim(part.substr(0, equals)))] = to_lower(value);
  }
}

open_how beneath(int flags) {
  return {.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC), .mode = 0, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
}

bool is_resctrl(const UniqueFd& fd) {
  const auto info = sys::fstatfs(fd.get());
  return info.has_value() && static_cast<long>(info.value().f_type) == kResctrlMagic;
}

// The mount point of the first resctrl in mountinfo; "" without one. Source: man 5 proc, /proc/pid/mountinfo.
std::string mounted_at() {
  const auto text = read_file("/proc/self/mountinfo", 1U << 24U);
  if (!text.has_value()) return "";
  for (const auto line : split(text.value(), '\n')) {
    if (line.find(" - resctrl ") == std::string_view::npos) continue;
    const auto fields = split(line, ' ');
    if (fields.size() > 4) return std::string{fields[4]};
  }
  return "";
}

Error rdt_error(Kind kind, std::string_view field, std::string text) {
  return Error{kind, format_text("\"/linux/intelRdt{}\": {}", field, text)};
}

}  // namespace

RdtPlan plan_rdt(const oci::IntelRdt& rdt, const std::string& id) {
  RdtPlan plan;
  plan.record.group = rdt.clos_id.empty() ? id : rdt.clos_id == "/" ? kRootGroup : rdt.clos_id;
  plan.record.own_group = rdt.clos_id.empty();
  for (const auto line : split(rdt.l3_cache_schema, '\n'))
    if (!trim(line).empty() && !is_bandwidth(line)) plan.lines.emplace_back(trim(line));
  if (!rdt.mem_bw_schema.empty()) plan.lines.push_back(rdt.mem_bw_schema);
  plan.lines.insert(plan.lines.end(), rdt.schemata.begin(), rdt.schemata.end());
  plan.may_make = rdt.clos_id.empty() || !plan.lines.empty();
  if (rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm)
    plan.record.monitor = format_text("{}/mon_groups/{}", plan.record.group, id);
  return plan;
}

bool schemata_match(std::string_view schemata, const std::vector<std::string>& wanted) {
  Values has;
  Values wants;
  for (const auto line : split(schemata, '\n')) add_values(has, line);
  for (const auto& line : wanted) add_values(wants, line);
  for (const auto& [domain, value] : wants) {
    const auto found = has.find(domain);
    if (found == has.end() || found->second != value) return false;
  }
  return true;
}

Result<Resctrl> Resctrl::open() {
  for (const auto& path : {std::string{kUsualPlace}, mounted_at()}) {
    if (path.empty()) continue;
    auto fd = sys::openat(AT_FDCWD, path, O_PATH | O_DIRECTORY);
    if (!fd.has_value() || !is_resctrl(fd.value())) continue;
    auto root = TRY(RootDir::adopt(std::move(fd).value()));
    return Resctrl{std::move(root)};
  }
  return rdt_error(Kind::unsupported, "", "resctrl is not mounted on this host")
      .hint("mount -t resctrl resctrl /sys/fs/resctrl, where the processor has RDT (see rdt_a in /proc/cpuinfo); or remove the field");
}

bool Resctrl::can_monitor() const {
  const auto found = find("info/L3_MON");
  return found.has_value() && found.value().has_value();
}

Result<std::optional<UniqueFd>> Resctrl::find(const std::string& path) const {
  return sys::find_openat2(root_.fd(), path, beneath(O_PATH | O_DIRECTORY));
}

Status Resctrl::write(const std::string& path, std::string_view text) const {
  const auto file = TRY(sys::openat2(root_.fd(), path, beneath(O_WRONLY)));
  return sys::write_all(file.get(), text);
}

std::string Resctrl::last_status() const {
  const auto text = root_.read_file("/info/last_cmd_status", kMaxFile);
  return text.has_value() ? std::string{trim(text.value())} : "";
}

Status Resctrl::check(const RdtPlan& plan) const {
  const auto& group = plan.record.group;
  const auto found = TRY(find(group));
  if (!found.has_value() && !plan.may_make)
    return rdt_error(Kind::not_found, "/closID", format_text("there is no resctrl group {}", quote(group)))
        .hint("a group without schemata in config.json must have been made before: mkdir it in /sys/fs/resctrl");
  if (!found.has_value()) return ok();
  if (plan.record.own_group)
    return rdt_error(Kind::exists, "", format_text("a resctrl group {} exists already", quote(group)))
        .hint("it is not ours to use or to remove: rmdir it, or name it as closID");
  if (plan.lines.empty()) return ok();
  const auto now = TRY(root_.read_file(format_text("/{}/schemata", group), kMaxFile));
  if (schemata_match(now, plan.lines)) return ok();
  return rdt_error(Kind::invalid, "/closID", format_text("the resctrl group {} has another schemata: {}", quote(group), quote(trim(now))))
      .hint("a group that exists is not changed: give its values, or another closID");
}

Status Resctrl::write_schemata(const std::string& group, const std::vector<std::string>& lines) const {
  std::string text;
  for (const auto& line : lines) text += format_text("{}\n", line);
  if (text.empty()) return ok();
  auto written = write(group + "/schemata", text);
  if (written.has_value()) return written;
  const auto why = last_status();
  auto error = std::move(written).error().during("\"/linux/intelRdt\": write schemata");
  return why.empty() || why == "ok" ? Status{std::move(error)} : Status{std::move(error).hint(format_text("resctrl says: {}", why))};
}

Status Resctrl::make_monitor(const RdtPlan& plan) const {
  const auto& path = plan.record.monitor;
  if (path.empty()) return ok();
  return sys::mkdirat(root_.fd(), path, 0755).during("\"/linux/intelRdt/enableMonitoring\": make monitoring group").hint(
      "the processor must have RDT monitoring, and a monitoring ID to spare: see info/L3_MON/num_rmids in resctrl");
}

Result<bool> Resctrl::make(const RdtPlan& plan) const {
  const auto& group = plan.record.group;
  const auto made = plan.may_make && group != kRootGroup ? sys::mkdirat(root_.fd(), group, 0755) : Status{Error{Kind::exists, "", EEXIST}};
  if (!made.has_value() && (made.error().os_errno() != EEXIST || plan.record.own_group))
    return Error{made.error()}.during("\"/linux/intelRdt\": make resctrl group").hint(
        "as many groups as the processor has are there already: see num_closids below info in resctrl");
  Status done = made.has_value() ? write_schemata(group, plan.lines) : ok();
  if (done.has_value()) done = make_monitor(plan);
  if (done.has_value()) return made.has_value();
  if (made.has_value()) (void)sys::unlinkat(root_.fd(), group, AT_REMOVEDIR);  // the error above is what matters
  return std::move(done).error();
}

Status Resctrl::join(const RdtRecord& record, pid_t pid) const {
  const auto text = format_text("{}\n", pid);
  TRY(write(record.group + "/tasks", text).during("\"/linux/intelRdt\": enter resctrl group"));
  if (record.monitor.empty()) return ok();
  return write(record.monitor + "/tasks", text).during("\"/linux/intelRdt\": enter monitoring group");
}

Status Resctrl::remove(const RdtRecord& record) const {
  for (const auto& path : {record.monitor, record.own_group ? record.group : std::string{}}) {
    if (path.empty()) continue;
    auto removed = sys::unlinkat(root_.fd(), path, AT_REMOVEDIR);
    if (!removed.has_value() && removed.error().os_errno() != ENOENT) return std::move(removed).during("remove resctrl group");
  }
  return ok();
}

Status join_rdt(const RdtRecord& record, pid_t pid) {
  if (record.group.empty()) return ok();
  const auto resctrl = TRY(Resctrl::open());
  return resctrl.join(record, pid);
}

Status remove_rdt(const RdtRecord& record) {
  if (record.monitor.empty() && !record.own_group) return ok();
  const auto resctrl = Resctrl::open();
  return resctrl.has_value() ? resctrl.value().remove(record) : ok();  // unmounted: its groups went with it
}

}  // namespace husk::runtime
