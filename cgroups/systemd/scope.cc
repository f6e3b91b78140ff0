#include "cgroups/systemd/scope.h"

#include <poll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>
#include <optional>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "cgroups/find_freezer.h"
#include "cgroups/systemd/annotations.h"
#include "cgroups/systemd/program_client.h"
#include "cgroups/systemd/properties.h"
#include "cgroups/v1/cgroup_v1.h"
#include "cgroups/v2/cgroup_v2.h"
#include "cgroups/v2/events.h"

namespace husk::cgroups::systemd {
namespace {

constexpr int kRemovalMs = 1000;   // systemd sees an empty cgroup by an event of its own
constexpr int kEmptyMs = 10000;    // a task in an uninterruptible wait does not die
constexpr std::int64_t kNsPerMs = 1000000;

Property text(std::string name, std::string value) { return {std::move(name), "s", {std::move(value)}}; }
Property pids(pid_t process) { return {"PIDs", "au", {std::to_string(process)}}; }
Property flag(std::string name, bool value) { return {std::move(name), "b", {value ? "true" : "false"}}; }

// What the files held that a change of `files` may overwrite, as files to write.
Result<std::vector<ControlFile>> earlier_files(const Plan& plan, const std::string& path) {
  std::vector<v1::Hierarchy> hierarchies;
  if (plan.version == Version::v1) hierarchies = TRY(v1::read_hierarchies());
  std::vector<ControlFile> earlier;
  for (const auto& file : plan.files) {
    const auto place = plan.version == Version::v1 ? v1::place_of(hierarchies, path, file.name)
                                                   : format_text("{}{}/{}", v2::kMount, path, file.name);
    const auto before = read_file(place);
    if (!before.has_value()) continue;  // absent, or only to be written
    earlier.push_back({.name = file.name, .value = earlier_value(place, before.value(), file.value), .need = Need::if_present});
  }
  return earlier;
}

class Scope final : public Cgroup {
 public:
  explicit Scope(const Plan& plan, ScopeProgram program) : plan_{plan}, program_{std::move(program)}, path_{plan.path} {}
  Scope(const Claim& claim, Version version, std::unique_ptr<Cgroup> inner) : inner_{std::move(inner)}, path_{claim.path} {
    plan_.version = version;
    plan_.scope = ScopePlan{.unit = claim.unit, .slice = "", .manager = claim.manager, .properties = {}};
  }

  const std::string& path() const override { return path_; }
  int clone_fd() const override { return inner_ != nullptr ? inner_->clone_fd() : -1; }
  Result<std::vector<UniqueFd>> open_entries(const std::vector<Below>& below) override {
    if (inner_ == nullptr) return std::vector<UniqueFd>{};
    return inner_->open_entries(below);
  }
  Status adopt(pid_t process, const std::function<Status()>& claimed) override;
  bool can_attach() const override { return manager() == Manager::user; }
  Status attach(pid_t process, const std::string& below) override {
    return ask(Verb::attach, {text("Subcgroup", below), pids(process)});
  }
  std::uint64_t id() const override { return inner_ != nullptr ? inner_->id() : 0; }
  Status freeze() override { return inner().freeze(); }
  Status thaw() override { return inner().thaw(); }
  Result<bool> is_frozen() override { return inner().is_frozen(); }
  Status thaw_killed() override { return inner().thaw_killed(); }
  Status kill_all(int signal) override { return inner().kill_all(signal); }
  Result<std::vector<pid_t>> processes() override { return inner().processes(); }
  bool has_lost(pid_t process) override { return inner().has_lost(process); }
  Status apply(const Plan& plan) override;
  Status delegate(uid_t uid, gid_t gid) override { return inner().delegate(uid, gid); }
  // A user's systemd has no right to load filters, and a user none to make device nodes.
  Status restrict_devices(const Plan& plan) override {
    return manager() == Manager::user ? ok() : inner().restrict_devices(plan);
  }
  Result<Stats> stats() override { return inner().stats(); }
  Status remove() override;

 private:
  Cgroup& inner() {
    require(inner_ != nullptr, "a scope is used before it has adopted a process");
    return *inner_;
  }
  Manager manager() const { return plan_.scope->manager; }
  const std::string& unit() const { return plan_.scope->unit; }
  Status ask(Verb verb, std::vector<Property> properties);
  Status check_thawed();
  bool stops_being_idle(const Plan& plan) const;
  Result<std::vector<Property>> changed_properties(const Plan& plan) const;
  Status tell(const Plan& plan, std::vector<Property> properties);
  Status put_back(const Plan& earlier, bool is_known_to_systemd);
  bool is_removed_by_systemd();

  Plan plan_;
  std::optional<ScopeProgram> program_;
  std::unique_ptr<Cgroup> inner_;
  std::string path_;
};

Status Scope::ask(Verb verb, std::vector<Property> properties) {
  if (!program_.has_value()) {
    auto program = TRY(ScopeProgram::start(manager()));
    program_.emplace(std::move(program));
  }
  auto done = program_->ask({.verb = verb, .unit = unit(), .properties = std::move(properties)});
  program_.reset();  // one request each
  return done;
}

Status Scope::adopt(pid_t process, const std::function<Status()>& claimed) {
  auto properties = plan_.scope->properties;
  properties.push_back(pids(process));
  TRY(ask(Verb::start, std::move(properties)));
  const auto place = TRY(read_file(format_text("/proc/{}/cgroup", process)));
  path_ = TRY(scope_path(place, unit(), plan_.version));
  plan_.path = path_;
  if (plan_.version == Version::v1) {
    TRY(claimed());
    inner_ = TRY(v1::join(plan_, process));
    return check_thawed();
  }
  inner_ = TRY(v2::open(path_));
  TRY(claimed());
  TRY(check_thawed());
  return inner_->apply(plan_).during("write cgroup limits");
}

// A slice was frozen that create could not see, of a user's systemd, or meanwhile: its processes never go on.
Status Scope::check_thawed() { return TRY(is_frozen()) ? Status{below_frozen(path_, plan_.version)} : ok(); }

// Weight 0 is how a unit is idle. That it is idle no more shows in no file that it takes a weight from: it has none, then.
bool Scope::stops_being_idle(const Plan& plan) const {
  const auto is_off = [](const ControlFile& file) { return file.name == "cpu.idle" && file.value == "0"; };
  return std::ranges::any_of(plan.files, is_off) && trim(read_text(v2::kMount + path_ + "/cpu.idle")) == "1";
}

Result<std::vector<Property>> Scope::changed_properties(const Plan& plan) const {
  std::vector<Property> properties;
  if (stops_being_idle(plan)) properties.push_back({"CPUWeight", "t", {std::to_string(std::numeric_limits<std::uint64_t>::max())}});
  for (auto& property : limit_properties(plan.version, plan.files, false)) put(properties, std::move(property));
  if (plan.replaced_rules.empty()) return properties;
  auto devices = TRY(device_change(plan.version, plan.device_rules));
  for (auto& property : devices) properties.push_back(std::move(property));
  return properties;
}

// A changed list is written by systemd on cgroup v1 as "nothing" and then device by device, before it answers: the
// processes rest meanwhile, so that none is refused. Source: cgroup_apply_devices() in systemd 252's src/core/cgroup.c.
Status Scope::tell(const Plan& plan, std::vector<Property> properties) {
  const bool freezes = plan.version == Version::v1 && !plan.replaced_rules.empty() && !TRY(is_frozen());
  if (freezes) TRY(freeze());
  auto done = ask(Verb::set, std::move(properties));
  if (freezes) TRY(thaw());
  return done;
}

// The error that led here says more than one of these.
Status Scope::put_back(const Plan& earlier, bool is_known_to_systemd) {
  auto properties = changed_properties(earlier);
  if (is_known_to_systemd && properties.has_value()) (void)tell(earlier, std::move(properties).value());
  return inner().apply(earlier);
}

// The kernel's word first: what it refuses, systemd never hears of. Then systemd, which writes its own files; then
// what it cannot say once more. Both must allow a device, so that a change is never wider than the narrower list.
Status Scope::apply(const Plan& wanted) {
  auto plan = wanted;
  if (manager() == Manager::user || has_own_device_list(plan)) plan.replaced_rules.clear();
  auto properties = TRY(changed_properties(plan));
  if (properties.empty()) return inner().apply(plan);
  Plan earlier{.version = plan.version, .path = path_, .device_rules = plan.replaced_rules};
  if (!plan.replaced_rules.empty()) earlier.replaced_rules = plan.device_rules;
  earlier.files = TRY(earlier_files(plan, path_));
  TRY(inner().apply(plan));
  auto done = tell(plan, std::move(properties));
  const bool is_known_to_systemd = done.has_value();
  plan.replaced_rules.clear();  // v2: our filter is not systemd's; v1: the lists are the same
  plan.check_memory_usage = false;
  if (done.has_value()) done = inner().apply(plan);
  if (!done.has_value()) (void)put_back(earlier, is_known_to_systemd);
  return done;
}

// A scope without processes ends by itself: the removal of its cgroup is the last thing that shows of it. The parent is
// watched: kernfs tells a directory nothing of its own end.
bool Scope::is_removed_by_systemd() {
  const auto directory = v2::kMount + path_;
  const auto watch = sys::inotify_init();
  if (!watch.has_value()) return false;
  const auto parent = directory.substr(0, directory.rfind('/'));
  const auto added = sys::inotify_add_watch(watch.value().get(), parent, IN_DELETE | IN_ONLYDIR);
  if (!added.has_value()) return !path_exists(directory);
  if (!v2::wait_for_event(directory, "populated", 0, kEmptyMs).has_value()) return false;
  const std::int64_t deadline = now_monotonic_ns() + kRemovalMs * kNsPerMs;
  while (path_exists(directory)) {
    std::array<char, 4096> events;
    std::vector<sys::PollEntry> entries{{.fd = watch.value().get(), .events = POLLIN}};
    const auto left = (deadline - now_monotonic_ns()) / kNsPerMs;
    if (left <= 0) return false;
    const auto ready = sys::poll(entries, static_cast<int>(left));
    if (!ready.has_value() || (ready.value() > 0 && !sys::read_some(watch.value().get(), events).has_value())) return false;
  }
  return true;
}

// Not adopted: then a unit of that name is somebody else's, or ends with the process that was to be adopted.
Status Scope::remove() {
  if (inner_ == nullptr) return ok();
  auto killed = inner_->kill_all(SIGKILL);
  // ENODEV: removed between open and write; systemd is quicker than we are when init has ended already.
  const int reason = killed.has_value() ? 0 : killed.error().os_errno();
  if (!killed.has_value() && reason != ENOENT && reason != ENODEV && killed.error().kind() != Kind::not_found) return killed;
  if (plan_.version == Version::v1 || !is_removed_by_systemd()) TRY(ask(Verb::stop, {}));
  // What lies in hierarchies that systemd does not manage, and sub-cgroups that a reload made it forget.
  return inner_->remove();
}

}  // namespace

Status plan_scope(Plan& plan, const std::string& cgroups_path, const std::string& id, const ScopeOptions& options) {
  auto scope = TRY(parse_scope_path(cgroups_path, id, options.manager));
  const auto slice = TRY(expand_slice(scope.slice));
  plan.path = format_text("{}/{}", slice, scope.unit);  // of a user's systemd: below its own place, told later
  round_quota(plan.version, plan.files);
  auto& properties = scope.properties;
  properties = {text("Description", format_text("container {}", id)), text("Slice", scope.slice), flag("Delegate", true),
                flag("DefaultDependencies", false), text("CollectMode", "inactive-or-failed")};
  for (const auto* name : {"MemoryAccounting", "CPUAccounting", "TasksAccounting"}) properties.push_back(flag(name, true));
  properties.push_back(flag(plan.version == Version::v2 ? "IOAccounting" : "BlockIOAccounting", true));
  for (auto& property : limit_properties(plan.version, plan.files, true)) put(properties, std::move(property));
  if (options.manager == Manager::system)
    for (auto& property : TRY(device_properties(plan.version, plan.device_rules))) put(properties, std::move(property));
  for (auto& property : TRY(annotation_properties(options.annotations))) put(properties, std::move(property));
  plan.scope = std::move(scope);
  return ok();
}

Result<std::unique_ptr<Cgroup>> create(const Plan& plan) {
  TRY(check_parents_thawed(plan.path, plan.version));
  auto program = TRY(ScopeProgram::start(plan.scope->manager));
  return std::unique_ptr<Cgroup>{std::make_unique<Scope>(plan, std::move(program))};
}

Result<std::unique_ptr<Cgroup>> open(const Claim& claim, Version version) {
  auto inner = TRY(version == Version::v2 ? v2::open(claim.path) : v1::open(claim.path));
  if (claim.id != 0 && inner->id() != claim.id)
    return Error{Kind::not_found, format_text("unit {} has ended; another one has its name now", quote(claim.unit))};
  return std::unique_ptr<Cgroup>{std::make_unique<Scope>(claim, version, std::move(inner))};
}

Result<std::string> scope_path(std::string_view text, const std::string& unit, Version version) {
  const std::string_view wanted = version == Version::v2 ? "0::" : ":name=systemd:";
  for (const auto line : split(text, '\n')) {
    const auto at = line.find(wanted);
    if (at == std::string_view::npos || (version == Version::v2 && at != 0)) continue;
    std::string path{line.substr(at + wanted.size())};
    if (path.ends_with("/" + unit)) return path;
    return Error{Kind::not_found, format_text("systemd started unit {}, but the process is in cgroup {}", quote(unit), quote(path))}
        .hint("husk must run in the cgroup namespace of systemd");
  }
  return Error{Kind::not_found, format_text("the process in unit {} is in no cgroup that systemd manages", quote(unit))};
}

}  // namespace husk::cgroups::systemd
