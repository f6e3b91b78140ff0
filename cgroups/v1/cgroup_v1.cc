#include "cgroups/v1/cgroup_v1.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <span>

#include "base/file.h"
#include "base/format.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "cgroups/find_freezer.h"
#include "cgroups/path.h"
#include "cgroups/resources.h"
#include "cgroups/tree.h"
#include "cgroups/v1/device_list.h"
#include "cgroups/v1/freezer.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups::v1 {
namespace {

constexpr int kWaitMs = 10000;
constexpr int kKillRounds = 8;  // without a freezer a process may fork between listing and signal
constexpr int kRemoveAttempts = 50;

Error controller_missing(const std::string& controller, const std::string& file) {
  return Error{Kind::unsupported, format_text("{} needs the cgroup v1 controller {}, which is not mounted", quote(file),
                                              quote(controller))}
      .hint("mount it (mount -t cgroup -o NAME none /sys/fs/cgroup/NAME), or remove the limit from the configuration");
}

// "memory/memory.limit_in_bytes" → its place. Absent controllers matter only to limits that were asked for.
Result<std::vector<Target>> targets_of(const std::vector<Hierarchy>& hierarchies, const std::string& path,
                                       const std::vector<ControlFile>& files) {
  std::vector<Target> targets;
  for (const auto& file : files) {
    auto place = place_of(hierarchies, path, file.name);
    const auto slash = file.name.find('/');
    if (place.empty() && file.need == Need::if_present) continue;
    if (place.empty())
      return controller_missing(file.name.substr(0, slash), file.name.substr(slash + 1)).during(pointer_of(file.field));
    targets.push_back({std::move(place), file.value, file.need, file.field});
  }
  return targets;
}

class CgroupV1 final : public Cgroup {
 public:
  CgroupV1(std::string path, std::vector<Hierarchy> hierarchies, std::vector<std::string> made, UniqueFd lock = {})
      : path_{std::move(path)}, hierarchies_{std::move(hierarchies)}, made_{std::move(made)}, lock_{std::move(lock)} {
    const auto* hybrid = find_hierarchy(hierarchies_, kUnified);
    if (hybrid == nullptr) return;
    auto opened = v2::open(path_, hybrid->mount);  // absent when somebody else made the cgroup
    if (opened.has_value()) unified_ = std::move(opened).value();
  }

  const std::string& path() const override { return path_; }
  int clone_fd() const override { return unified_ != nullptr ? unified_->clone_fd() : -1; }
  int lock_fd() const override { return lock_.get(); }
  Result<std::vector<UniqueFd>> open_entries(const std::vector<Below>& below) override;
  Status freeze() override;
  Status thaw() override;
  Status thaw_killed() override;
  Result<bool> is_frozen() override;
  Status kill_all(int signal) override;
  Result<std::vector<pid_t>> processes() override;
  bool has_lost(pid_t process) override { return unified_ != nullptr ? unified_->has_lost(process) : Cgroup::has_lost(process); }
  Status apply(const Plan& plan) override;
  Status delegate(uid_t, gid_t) override { return ok(); }  // handing v1 to a container is not safe
  Status restrict_devices(const Plan&) override { return ok(); }  // create has written them
  Result<Stats> stats() override {
    TRY(sys::fstatat(AT_FDCWD, main_directory(), 0));
    return read_stats(hierarchies_, path_);
  }
  Status remove() override;

 private:
  // The hierarchy that lists the processes: all of them hold the same ones.
  std::string main_directory() const {
    const auto* hierarchy = find_hierarchy(hierarchies_, "freezer");
    return (hierarchy != nullptr ? hierarchy->mount : hierarchies_.front().mount) + path_;
  }
  Result<std::string> freezer() const {
    const auto* hierarchy = find_hierarchy(hierarchies_, "freezer");
    if (hierarchy == nullptr) return controller_missing("freezer", "freezer.state");
    return hierarchy->mount + path_;
  }
  bool is_frozen_beside() const;
  Status check_usage(const Plan& plan) const;
  Status change_devices(const Plan& plan);
  Status kill_round(int signal, bool& nobody);
  Status remove_directories();
  Status empty_and_remove();
  void remove_parents();

  std::string path_;
  std::vector<Hierarchy> hierarchies_;
  std::vector<std::string> made_;    // what create made above the cgroup itself
  UniqueFd lock_;                    // of who makes a container in it
  std::unique_ptr<Cgroup> unified_;  // hybrid hosts: freeze, kill and events of v2
};

// Which one holds for a hierarchy: that with one of its controllers, else that without any.
const Below* find_below(const std::vector<Below>& below, const Hierarchy& hierarchy) {
  const Below* all = nullptr;
  for (const auto& one : below) {
    if (one.controllers.empty()) all = &one;
    for (const auto& name : one.controllers)
      if (std::ranges::find(hierarchy.controllers, name) != hierarchy.controllers.end()) return &one;
  }
  return all;
}

Status check_controllers(const std::vector<Below>& below, const std::vector<Hierarchy>& hierarchies) {
  for (const auto& one : below) {
    for (const auto& name : one.controllers) {
      const auto* hierarchy = name == kUnified ? nullptr : find_hierarchy(hierarchies, name);
      if (hierarchy == nullptr)
        return Error{Kind::unsupported, format_text("no controller {} of cgroup v1 is mounted here", quote(name))}.hint(
            "/proc/self/cgroup lists those that are");
      if (find_below(below, *hierarchy)->path != one.path)
        return Error{Kind::invalid, format_text("{} shares its mount with another controller that has another path", quote(name))};
    }
  }
  return ok();
}

Result<UniqueFd> open_beneath(const std::string& directory, const Below& below) {
  const auto own = TRY(sys::openat(AT_FDCWD, directory, O_PATH | O_DIRECTORY));
  const open_how how{.flags = O_WRONLY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
  return sys::openat2(own.get(), below.path + "/tasks", how)
      .during(format_text("{}, below {}", quote(below.path), directory))
      .hint("name a cgroup that is there, below the container's own; or name the controllers that have it, as memory,pids:PATH");
}

Result<std::vector<UniqueFd>> CgroupV1::open_entries(const std::vector<Below>& below) {
  TRY(check_controllers(below, hierarchies_));
  std::vector<UniqueFd> entries;
  for (const auto& hierarchy : hierarchies_) {
    if (unified_ != nullptr && &hierarchy == find_hierarchy(hierarchies_, kUnified)) continue;  // clone_fd()
    const auto directory = hierarchy.mount + path_;
    const auto* place = find_below(below, hierarchy);
    auto opened = place != nullptr && !place->path.empty() ? open_beneath(directory, *place)
                                                           : sys::openat(AT_FDCWD, directory + "/tasks", O_WRONLY);
    if (!opened.has_value()) return place != nullptr ? opened.error() : explain(opened.error(), directory + "/tasks");
    entries.push_back(std::move(opened).value());
  }
  return entries;
}

Status CgroupV1::freeze() {
  if (unified_ != nullptr) return unified_->freeze();
  const auto directory = TRY(freezer());
  return v1::freeze(directory);
}

// On a hybrid host we freeze by v2; by the v1 freezer somebody else does, and who meets that is as frozen.
bool CgroupV1::is_frozen_beside() const {
  const auto directory = freezer();
  if (!directory.has_value()) return false;
  const auto frozen = v1::is_frozen(directory.value());
  return frozen.has_value() && frozen.value();
}

Status CgroupV1::thaw() {
  if (unified_ != nullptr) TRY(unified_->thaw());
  if (unified_ != nullptr && !is_frozen_beside()) return ok();
  const auto directory = TRY(freezer());
  return v1::thaw(directory);
}

Result<bool> CgroupV1::is_frozen() {
  if (unified_ != nullptr) return TRY(unified_->is_frozen()) || is_frozen_beside();
  const auto directory = TRY(freezer());
  return v1::is_frozen(directory);
}

Result<std::vector<pid_t>> CgroupV1::processes() { return tree_processes(main_directory()); }

Status CgroupV1::thaw_killed() {
  if (unified_ != nullptr) TRY(unified_->thaw_killed());
  const auto directory = freezer();  // on a hybrid host too: its container may have the v1 freezer
  return directory.has_value() ? thaw_tree(directory.value()) : ok();
}

// One pass: freeze so that nobody forks, signal, thaw so that a SIGKILL takes effect.
Status CgroupV1::kill_round(int signal, bool& nobody) {
  const auto directory = freezer();
  const bool was_frozen = directory.has_value() && v1::is_frozen(directory.value()).has_value() &&
                          v1::is_frozen(directory.value()).value();
  if (directory.has_value() && !was_frozen) (void)v1::freeze(directory.value());  // signal in any case
  const auto found = processes();
  auto done = found.has_value() ? signal_processes(found.value(), signal) : Status{found.error()};
  if (directory.has_value() && !was_frozen) TRY(v1::thaw(directory.value()));
  if (signal == SIGKILL) TRY(thaw_killed());
  nobody = found.has_value() && found.value().empty();
  if (signal == SIGKILL && found.has_value()) TRY(wait_for_exit(found.value(), kWaitMs));
  return done;
}

Status CgroupV1::kill_all(int signal) {
  if (unified_ != nullptr) {
    TRY(unified_->kill_all(signal));
    return signal == SIGKILL ? thaw_killed() : ok();
  }
  bool nobody = false;
  for (int round = 0; round < kKillRounds && !nobody; ++round) {
    TRY(kill_round(signal, nobody));
    if (signal != SIGKILL) break;
  }
  return ok();
}

// config-linux.md, checkBeforeUpdate; the kernel itself first takes pages away, for as long as that takes.
Status CgroupV1::check_usage(const Plan& plan) const {
  const auto* memory = find_hierarchy(hierarchies_, "memory");
  if (!plan.check_memory_usage || memory == nullptr) return ok();
  const auto usage = read_number(memory->mount + path_ + "/memory.usage_in_bytes");
  for (const auto& file : plan.files)
    if (file.name == "memory/memory.limit_in_bytes") TRY(check_memory_limit(file.value, usage));
  return ok();
}

Status CgroupV1::apply(const Plan& plan) {
  TRY(check_usage(plan));
  const auto targets = TRY(targets_of(hierarchies_, path_, plan.files));
  return replace_targets(targets, [&]() -> Status { return plan.replaced_rules.empty() ? ok() : change_devices(plan); });
}

// Where the kernel's default changes, the processes rest meanwhile: a device that both lists allow is not refused to them.
Status CgroupV1::change_devices(const Plan& plan) {
  const auto change = TRY(device_change(plan.replaced_rules, plan.device_rules));
  const auto back = TRY(device_change(plan.device_rules, plan.replaced_rules));
  const auto targets = TRY(targets_of(hierarchies_, path_, change.files));
  const auto undo = TRY(targets_of(hierarchies_, path_, back.files));
  const bool freezes = change.anew && !TRY(is_frozen());
  if (freezes) TRY(freeze());
  auto done = write_targets(targets).during("change the device list");
  if (!done.has_value()) (void)write_targets(undo);  // the first error says more
  if (freezes) TRY(thaw());
  return done;
}

Status CgroupV1::remove_directories() {
  Status result = ok();
  for (const auto& hierarchy : hierarchies_) {
    auto done = sys::unlinkat(AT_FDCWD, hierarchy.mount + path_, AT_REMOVEDIR);
    if (!done.has_value() && done.error().os_errno() == EBUSY) done = remove_empty_tree(hierarchy.mount + path_);
    if (!done.has_value() && done.error().os_errno() != ENOENT) result = std::move(done);
  }
  return result;
}

Status CgroupV1::empty_and_remove() {
  TRY(check_kill_arrives(path_, Version::v1));
  Status done = ok();
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    std::vector<pid_t> left;
    for (const auto& hierarchy : hierarchies_) {
      const auto found = TRY(tree_processes(hierarchy.mount + path_));
      left.insert(left.end(), found.begin(), found.end());
    }
    auto killed = left.empty() ? ok() : kill_all(SIGKILL);
    // On a hybrid host the part in the v2 hierarchy may be gone already: who is left is signalled by pid.
    if (!killed.has_value() && killed.error().kind() != Kind::not_found) return killed;
    TRY(signal_processes(left, SIGKILL));  // who left one hierarchy only
    TRY(wait_for_exit(left, kWaitMs));
    done = remove_directories();
    if (done.has_value() || done.error().os_errno() != EBUSY) return done;
    // The kernel takes a dead task off its cgroup a moment after its end, and v1 has no event for it.
    std::vector<sys::PollEntry> nothing;
    TRY(sys::poll(nothing, 1));
  }
  return std::move(done).hint("somebody keeps adding processes to this cgroup");
}

Status CgroupV1::remove() {
  const auto done = remove_directories();
  if (!done.has_value()) {
    if (done.error().os_errno() != EBUSY) return explain(done.error(), path_);
    TRY(empty_and_remove());
  }
  remove_parents();
  return ok();
}

void CgroupV1::remove_parents() {
  remove_empty({made_.rbegin(), made_.rend()});
  made_.clear();
  if (!path_.starts_with(format_text("{}/", kDefaultParent))) return;
  for (const auto& hierarchy : hierarchies_) remove_empty({format_text("{}{}", hierarchy.mount, kDefaultParent)});
}

// A new cpuset is empty and takes no process: it gets what its parent has.
// Source: cgroup-v1/cpusets.rst section 1.3.
Result<std::string> fill_cpuset(const std::string& mount, const std::string& path, const std::string& file) {
  const auto own = TRY(read_file(mount + path + file));
  if (!trim(own).empty() || path.empty()) return std::string{trim(own)};
  const auto inherited = TRY(fill_cpuset(mount, path.substr(0, path.rfind('/')), file));
  TRY(write_existing(AT_FDCWD, mount + path + file, inherited));
  return inherited;
}

Status adopt_empty(const std::string& directory) {
  const auto found = TRY(tree_processes(directory));
  if (!found.empty())
    return Error{Kind::exists, format_text("cgroup {} already holds processes", quote(directory))}.hint(kOneEach);
  if (path_exists(directory + "/freezer.state")) TRY(v1::thaw(directory));
  // As in a new one: rules that allow everything write nothing. Below a parent that does not, the kernel says no.
  if (path_exists(directory + "/devices.allow")) (void)write_existing(AT_FDCWD, directory + "/devices.allow", "a");
  if (path_exists(directory + "/cgroup.freeze")) TRY(write_existing(AT_FDCWD, directory + "/cgroup.freeze", "0"));
  return ok();
}

Status fill(const std::vector<Hierarchy>& hierarchies, const Plan& plan, const std::vector<Target>& targets) {
  if (const auto* cpuset = find_hierarchy(hierarchies, "cpuset")) {
    TRY(fill_cpuset(cpuset->mount, plan.path, "/cpuset.cpus"));
    TRY(fill_cpuset(cpuset->mount, plan.path, "/cpuset.mems"));
  }
  return write_targets(targets).during("write cgroup limits");
}

Status move_into(const std::vector<Hierarchy>& hierarchies, const std::string& path, pid_t process) {
  for (const auto& hierarchy : hierarchies) {
    const auto file = hierarchy.mount + path + "/cgroup.procs";
    const auto moved = write_existing(AT_FDCWD, file, std::to_string(process));
    if (!moved.has_value()) return explain(moved.error(), file);
  }
  return ok();
}

// What freezes above is inherited at birth: the child would stop in its first step, and we wait for it.
// Source: freezer_css_online() in kernel/cgroup/legacy_freezer.c.
bool is_born_frozen(const std::vector<Hierarchy>& hierarchies, const Hierarchy& hierarchy, const std::string& path) {
  if (&hierarchy == find_hierarchy(hierarchies, "freezer")) return read_text(hierarchy.mount + path + "/freezer.state").starts_with("FR");
  return &hierarchy == find_hierarchy(hierarchies, kUnified) &&
         keyed_number(read_text(hierarchy.mount + path + "/cgroup.events"), "frozen") == 1;
}

// With `process`: systemd may have made the cgroup round it already.
Result<std::unique_ptr<Cgroup>> make(const Plan& plan, std::optional<pid_t> process) {
  auto hierarchies = TRY(read_hierarchies());
  auto files = plan.files;
  const auto device_lines = TRY(device_files(plan.device_rules));
  files.insert(files.end(), device_lines.begin(), device_lines.end());
  const auto targets = TRY(targets_of(hierarchies, plan.path, files));
  std::vector<std::string> made;
  UniqueFd lock;
  Rollback rollback;
  rollback.on_failure([&made] { remove_empty({made.rbegin(), made.rend()}); });
  for (const auto& hierarchy : hierarchies) {
    const auto before = made.size();
    const auto fresh = make_cgroup(hierarchy.mount, plan.path, made);
    if (!fresh.has_value() && fresh.error().kind() != Kind::exists) return fresh.error();
    if (process.has_value()) continue;
    // All take the first one first.
    if (!lock.is_open()) {
      auto locked = lock_cgroup(hierarchy.mount + plan.path);
      if (!locked.has_value() && fresh.has_value()) made.pop_back();  // the other's now
      lock = TRY(std::move(locked));
    }
    if (!fresh.has_value()) TRY(adopt_empty(hierarchy.mount + plan.path));
    const bool older = has_older_parent(hierarchy.mount, std::span{made}.subspan(before));
    if (older && is_born_frozen(hierarchies, hierarchy, plan.path)) return below_frozen(plan.path, Version::v1);
  }
  TRY(fill(hierarchies, plan, targets));
  if (process.has_value()) TRY(move_into(hierarchies, plan.path, *process));
  rollback.commit();
  // What is left are the parents; of a scope they are slices: systemd's where it manages the hierarchy, ours elsewhere.
  std::erase_if(made, [&plan](const std::string& directory) { return directory.ends_with(plan.path); });
  return std::unique_ptr<Cgroup>{std::make_unique<CgroupV1>(plan.path, std::move(hierarchies), std::move(made), std::move(lock))};
}

}  // namespace

Result<std::unique_ptr<Cgroup>> create(const Plan& plan) { return make(plan, std::nullopt); }

Result<std::unique_ptr<Cgroup>> join(const Plan& plan, pid_t process) { return make(plan, process); }

Result<std::unique_ptr<Cgroup>> open(const std::string& path) {
  auto hierarchies = TRY(read_hierarchies());
  // A removal that was cut short leaves some: any one is enough to go on with.
  std::optional<Error> first;
  for (const auto& hierarchy : hierarchies) {
    const auto there = sys::fstatat(AT_FDCWD, hierarchy.mount + path, 0);
    if (there.has_value())
      return std::unique_ptr<Cgroup>{
          std::make_unique<CgroupV1>(path, std::move(hierarchies), std::vector<std::string>{})};
    if (!first.has_value()) first = there.error();
  }
  return first.value_or(Error{Kind::not_found, "no hierarchy of cgroup version 1 is mounted"});
}

}  // namespace husk::cgroups::v1
