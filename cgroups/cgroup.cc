#include "cgroups/cgroup.h"

#include <linux/magic.h>

#include <algorithm>

#include "base/format.h"
#include "base/sys.h"
#include "cgroups/control_file.h"
#include "cgroups/systemd/scope.h"
#include "cgroups/v1/cgroup_v1.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups {
namespace {

// What only a cgroup can do. To say "done" would leave processes running that the caller takes for dead
// or frozen.
Error without_cgroup(std::string_view what) {
  return Error{Kind::unsupported, format_text("{}: the container has no cgroup", what)}.hint(
      "signals to the first process work, and SIGKILL to it ends all of a pid namespace of its own");
}

class NoCgroup final : public Cgroup {
 public:
  const std::string& path() const override { return path_; }
  int clone_fd() const override { return -1; }
  Result<std::vector<UniqueFd>> open_entries(const std::vector<Below>& below) override {
    if (!below.empty()) return Error{Kind::unsupported, "the container has no cgroup"}.hint("leave the option out");
    return std::vector<UniqueFd>{};
  }
  Status freeze() override { return without_cgroup("freeze the processes"); }
  Status thaw() override { return ok(); }
  Result<bool> is_frozen() override { return false; }
  Status kill_all(int) override { return without_cgroup("signal all processes"); }
  Result<std::vector<pid_t>> processes() override { return without_cgroup("list the processes"); }
  Status apply(const Plan&) override { return ok(); }
  Status delegate(uid_t, gid_t) override { return ok(); }
  Status restrict_devices(const Plan&) override { return ok(); }
  Result<Stats> stats() override { return Stats{}; }
  Status remove() override { return ok(); }

 private:
  std::string path_;
};

}  // namespace

Status Cgroup::thaw_killed() { return TRY(is_frozen()) ? thaw() : ok(); }

bool Cgroup::has_lost(pid_t process) {
  const auto found = processes();
  return found.has_value() && !std::ranges::binary_search(found.value(), process);
}

Version host_version() {
  const auto mount = sys::openat(AT_FDCWD, v2::kMount, O_PATH | O_DIRECTORY);
  if (!mount.has_value()) return Version::v2;
  const auto info = sys::fstatfs(mount.value().get());
  // tmpfs: v1, or hybrid, where the controllers are on v1 all the same.
  return info.has_value() && info.value().f_type != CGROUP2_SUPER_MAGIC ? Version::v1 : Version::v2;
}

Result<std::unique_ptr<Cgroup>> create(const Plan& plan, Devices devices) {
  if (plan.driver == Driver::disabled) return none();
  if (plan.driver == Driver::systemd) return systemd::create(plan).during("create cgroup");
  auto made = plan.version == Version::v2 ? v2::create(plan, devices) : v1::create(plan);
  return std::move(made).during("create cgroup");
}

Result<std::unique_ptr<Cgroup>> open(const std::string& path, Version version) {
  if (path.empty()) return none();
  return version == Version::v2 ? v2::open(path) : v1::open(path);
}

Status remove_path(const std::string& path, Version version) {
  auto opened = open(path, version);
  if (!opened.has_value()) return opened.error().kind() == Kind::not_found ? ok() : Status{opened.error()};
  return opened.value()->remove();
}

std::unique_ptr<Cgroup> none() { return std::make_unique<NoCgroup>(); }

std::uint64_t read_oom_kills(const std::string& path) {
  if (path.empty()) return 0;
  if (host_version() == Version::v1) return v1::read_oom_kills(path);
  return keyed_number(read_text(v2::kMount + path + "/memory.events"), "oom_kill");
}

}  // namespace husk::cgroups
