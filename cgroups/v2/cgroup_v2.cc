#include "cgroups/v2/cgroup_v2.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/file.h"
#include "base/format.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "cgroups/control_file.h"
#include "cgroups/find_freezer.h"
#include "cgroups/path.h"
#include "cgroups/resources.h"
#include "cgroups/tree.h"
#include "cgroups/v2/controllers.h"
#include "cgroups/v2/device_filter.h"
#include "cgroups/v2/events.h"

namespace husk::cgroups::v2 {
namespace {

constexpr int kWaitMs = 10000;     // a task in an uninterruptible wait neither freezes nor dies
constexpr int kRemoveAttempts = 8;  // each waits for the kernel's event first

std::vector<Target> targets_of(const std::string& directory, const std::vector<ControlFile>& files) {
  std::vector<Target> targets;
  targets.reserve(files.size());
  for (const auto& file : files)
    targets.push_back({.path = directory + "/" + file.name, .value = file.value, .need = file.need, .field = file.field});
  return targets;
}

// config-linux.md, checkBeforeUpdate.
Status check_usage(const std::string& directory, const Plan& plan) {
  if (!plan.check_memory_usage) return ok();
  const auto usage = read_number(directory + "/memory.current");
  for (const auto& file : plan.files)
    if (file.name == "memory.max") TRY(check_memory_limit(file.value, usage));
  return ok();
}

class CgroupV2 final : public Cgroup {
 public:
  CgroupV2(std::string mount, std::string path, UniqueFd fd, std::vector<std::string> made)
      : mount_{std::move(mount)}, path_{std::move(path)}, directory_{mount_ + path_}, fd_{std::move(fd)},
        made_{std::move(made)} {}

  const std::string& path() const override { return path_; }
  int clone_fd() const override { return fd_.get(); }
  std::uint64_t id() const override {
    const auto info = sys::fstat(fd_.get());
    return info.has_value() ? info.value().st_ino : 0;
  }
  Result<std::vector<UniqueFd>> open_entries(const std::vector<Below>&) override { return std::vector<UniqueFd>{}; }
  Status freeze() override;
  Status thaw() override { return set_frozen(false); }
  Result<bool> is_frozen() override {
    const auto frozen = TRY(read_event(directory_, "frozen"));
    return frozen == 1;
  }
  Status kill_all(int signal) override;
  Result<std::vector<pid_t>> processes() override { return tree_processes(directory_); }
  Status apply(const Plan& plan) override;
  Status delegate(uid_t uid, gid_t gid) override;
  Status restrict_devices(const Plan& plan) override { return attach_device_filter(fd_.get(), plan.device_rules); }
  Result<Stats> stats() override {
    TRY(sys::fstatat(AT_FDCWD, directory_, 0));
    return read_stats(directory_);
  }
  Status remove() override;

 private:
  Status set_frozen(bool frozen) {
    return write_existing(AT_FDCWD, directory_ + "/cgroup.freeze", frozen ? "1" : "0");
  }
  Status kill_while_frozen(int signal);
  Status empty_and_remove();
  void remove_parents();

  std::string mount_;
  std::string path_;
  std::string directory_;
  UniqueFd fd_;
  std::vector<std::string> made_;  // what create made above directory_, outermost first
};

Status CgroupV2::freeze() {
  auto done = freeze_and_wait(directory_, kWaitMs);
  if (done.has_value()) return ok();
  (void)set_frozen(false);  // the error of the wait says more
  return std::move(done).hint("a process that waits for a device or a network file system cannot be frozen");
}

// A frozen cgroup cannot fork, so no process is missed.
Status CgroupV2::kill_while_frozen(int signal) {
  // What is asked for, not what is reached: a pause at work must not find its cgroup thawed by us.
  const bool was_frozen = trim(TRY(read_file(directory_ + "/cgroup.freeze"))) == "1";
  // A process that cannot be frozen must not keep the others from their signal.
  const auto frozen = was_frozen ? freeze_and_wait(directory_, kWaitMs) : freeze();
  const auto found = processes();
  auto done = found.has_value() ? signal_processes(found.value(), signal) : Status{found.error()};
  if (!was_frozen && frozen.has_value()) TRY(set_frozen(false));
  return done;
}

Status CgroupV2::kill_all(int signal) {
  if (signal != SIGKILL) return kill_while_frozen(signal);
  auto done = write_existing(AT_FDCWD, directory_ + "/cgroup.kill", "1");
  if (done.has_value()) return ok();
  if (done.error().os_errno() == ENOENT && path_exists(directory_)) return kill_while_frozen(signal);  // until 5.14
  return done;
}

Status CgroupV2::apply(const Plan& plan) {
  TRY(check_usage(directory_, plan));
  TRY(enable_controllers(mount_, path_, plan.files));
  return replace_targets(targets_of(directory_, plan.files), [&]() -> Status {
    return plan.replaced_rules.empty() ? ok() : replace_device_filter(fd_.get(), plan.device_rules);
  });
}

Status CgroupV2::delegate(uid_t uid, gid_t gid) {
  auto names = read_text("/sys/kernel/cgroup/delegate");
  if (names.empty()) names = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n";  // until kernel 4.15
  TRY(sys::fchown(fd_.get(), uid, gid));
  for (const auto name : words_of(names)) {
    auto done = sys::fchownat(fd_.get(), std::string{name}, uid, gid, AT_SYMLINK_NOFOLLOW);
    if (!done.has_value() && done.error().os_errno() != ENOENT) return done;  // of a controller that is off
  }
  return ok();
}

Status CgroupV2::remove() {
  const auto done = sys::unlinkat(AT_FDCWD, directory_, AT_REMOVEDIR);
  if (!done.has_value() && done.error().os_errno() != ENOENT) {
    if (done.error().os_errno() != EBUSY) return explain(done.error(), directory_);
    TRY(empty_and_remove());
  }
  remove_parents();
  return ok();
}

Status CgroupV2::empty_and_remove() {
  Status done = ok();
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    const auto populated = read_event(directory_, "populated");
    if (!populated.has_value()) return populated.error().os_errno() == ENOENT ? ok() : Status{populated.error()};
    if (populated.value() != 0) {
      TRY(kill_all(SIGKILL));
      TRY(wait_for_event(directory_, "populated", 0, kWaitMs));
    }
    done = remove_empty_tree(directory_);
    if (done.has_value() || done.error().os_errno() != EBUSY) return done;
  }
  return std::move(done).hint("somebody keeps adding processes to this cgroup");
}

void CgroupV2::remove_parents() {
  remove_empty({made_.rbegin(), made_.rend()});
  made_.clear();
  // A cgroup that another process created: only our own parent is known to be ours.
  if (path_.starts_with(format_text("{}/", kDefaultParent))) remove_empty({format_text("{}{}", mount_, kDefaultParent)});
}

// A leftover of the same name is used again when nobody lives in it, without its device filter: both would have to allow.
Status adopt_empty(const std::string& directory, const UniqueFd& fd) {
  const auto populated = TRY(read_event(directory, "populated"));
  if (populated != 0)
    return Error{Kind::exists, format_text("cgroup {} already holds processes", quote(directory))}.hint(kOneEach);
  auto detached = replace_device_filter(fd.get(), {{.allow = true, .type = 'a', .access = "rwm"}});
  if (!detached.has_value() && detached.error().kind() != Kind::denied) return detached;  // a plain user attaches none
  return write_existing(AT_FDCWD, directory + "/cgroup.freeze", "0");
}

// A new cgroup is frozen from its birth where one above it is: the child would stop in its first step, and we wait for it.
// Source: cgroup_create() in kernel/cgroup/cgroup.c.
Status check_born_thawed(const std::string& path) {
  return TRY(read_event(kMount + path, "frozen")) == 1 ? Status{below_frozen(path, Version::v2)} : ok();
}

// Source: cgroup-v2.rst, "Threads": below a parent that shares its resources among threads.
Status check_takes_processes(const std::string& directory) {
  if (trim(read_text(directory + "/cgroup.type")) != "domain invalid") return ok();
  return Error{Kind::busy, format_text("cgroup {} can hold no processes: its parent has processes of its own and "
                                       "controllers enabled for threads", quote(directory))}
      .hint("choose a parent without processes of its own");
}

}  // namespace

Result<std::unique_ptr<Cgroup>> create(const Plan& plan, Devices devices) {
  const auto directory = kMount + plan.path;
  std::vector<std::string> made;
  Rollback rollback;
  rollback.on_failure([&made] { remove_empty({made.rbegin(), made.rend()}); });
  const auto fresh = make_cgroup(kMount, plan.path, made);
  if (!fresh.has_value() && fresh.error().kind() != Kind::exists) return fresh.error();
  auto fd = lock_cgroup(directory);
  if (!fd.has_value()) {
    std::erase(made, directory);  // the other's now
    return std::move(fd).error();
  }
  if (!fresh.has_value()) TRY(adopt_empty(directory, fd.value()));
  if (has_older_parent(kMount, made)) TRY(check_born_thawed(plan.path));
  TRY(enable_controllers(kMount, plan.path, plan.files));
  TRY(check_takes_processes(directory));
  TRY(write_targets(targets_of(directory, plan.files)).during("write cgroup limits"));
  if (devices == Devices::now) TRY(attach_device_filter(fd.value().get(), plan.device_rules));
  rollback.commit();
  std::erase(made, directory);
  return std::unique_ptr<Cgroup>{std::make_unique<CgroupV2>(kMount, plan.path, std::move(fd).value(), std::move(made))};
}

Result<std::unique_ptr<Cgroup>> open(const std::string& path, const std::string& mount) {
  auto fd = TRY(sys::openat(AT_FDCWD, mount + path, O_RDONLY | O_DIRECTORY));
  return std::unique_ptr<Cgroup>{
      std::make_unique<CgroupV2>(mount, path, std::move(fd), std::vector<std::string>{})};
}

}  // namespace husk::cgroups::v2
