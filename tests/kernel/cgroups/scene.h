// What the kernel tests of cgroups share: private cgroup mounts, children, names of our own.
#pragma once

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>

#include "base/process.h"
#include "base/sys.h"
#include "cgroups/cgroup.h"
#include "harness/harness.h"

namespace husk::test {

// This process in a mount namespace of its own until the end of the scope.
class PrivateMounts {
 public:
  PrivateMounts() {
    auto own = sys::openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY);
    REQUIRE_OK(own);
    before_ = std::move(own).value();
    REQUIRE_OK(sys::unshare(CLONE_NEWNS));
    REQUIRE_OK(sys::mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
  }
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;
  ~PrivateMounts() { CHECK_OK(sys::setns(before_.get(), CLONE_NEWNS)); }

 private:
  UniqueFd before_;
};

// The host's cgroup2 hierarchy at /sys/fs/cgroup, as on a v2 host; only this process sees it there.
// On a v2 host it is there already (mounting the same once more on top is EBUSY): this copy is ours.
inline constexpr const char* kRoot = "/sys/fs/cgroup";

// Controllers that a test has enabled at the root are not left so: others on this host would meet them (crun 1.28 tries
// for a second to enable them further down).
class Cgroup2Host : PrivateMounts {
 public:
  Cgroup2Host() {
    if (!path_exists("/sys/fs/cgroup/cgroup.controllers"))
      REQUIRE_OK(sys::mount("none", "/sys/fs/cgroup", "cgroup2", 0, ""));
    before_ = enabled();
  }
  ~Cgroup2Host() {
    for (const auto& name : enabled())
      if (std::find(before_.begin(), before_.end(), name) == before_.end()) CHECK_OK(write_existing(AT_FDCWD, kControl, "-" + name));
  }
  Cgroup2Host(const Cgroup2Host&) = delete;
  Cgroup2Host& operator=(const Cgroup2Host&) = delete;

 private:
  static constexpr const char* kControl = "/sys/fs/cgroup/cgroup.subtree_control";
  static std::vector<std::string> enabled() {
    const auto text = read_file(kControl);
    REQUIRE_OK(text);
    std::vector<std::string> names;
    for (const auto word : words_of(text.value())) names.emplace_back(word);
    return names;
  }

  std::vector<std::string> before_;
};

// Why `controller` cannot limit anything here; empty when it can.
inline std::string without_controller(const std::string& controller) {
  const auto found = read_file("/sys/fs/cgroup/cgroup.controllers");
  REQUIRE_OK(found);
  for (const auto name : split(trim(found.value()), ' '))
    if (name == controller) return "";
  return format_text("cgroup v2 has no {} controller on this host", controller);
}

inline std::string own_path() { return "/husk-test-" + random_hex(6); }

// A child born in `cgroup_fd` (or here, for -1), which runs `body` and ends with its result.
inline Child start_child(const std::function<int()>& body, int cgroup_fd = -1) {
  auto cloned = sys::clone3({.cgroup_fd = cgroup_fd});
  REQUIRE_OK(cloned);
  if (cloned.value().pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(body());
  }
  auto child = Child::adopt(cloned.value().pid);
  REQUIRE_OK(child);
  return std::move(child).value();
}

// `body` runs in a child that is inside, born there (v2) or entered by itself (v1).
inline Child start_inside(cgroups::Cgroup& cgroup, const std::function<int()>& body) {
  const auto entries = cgroup.open_entries({});
  REQUIRE_OK(entries);
  auto inside = sys::pipe2();
  REQUIRE_OK(inside);
  auto child = start_child(
      [&] {
        for (const auto& entry : entries.value())
          if (!sys::write_all(entry.get(), "0").has_value()) return 99;
        if (!sys::write_all(inside.value().write_end.get(), "x").has_value()) return 98;
        return body();
      },
      cgroup.clone_fd());
  inside.value().write_end.reset();
  std::array<char, 1> byte{};
  CHECK(sys::read_some(inside.value().read_end.get(), byte).value() == 1);
  return child;
}

inline int sleep_for_ever() {
  for (;;) ::pause();
}

// Forks without end; each process waits until killed.
inline int fork_for_ever() {
  for (int i = 0; i < 200; ++i)
    if (::fork() == 0) sleep_for_ever();
  return sleep_for_ever();
}

// Waits until the cgroup holds more than one process.
inline void wait_for_forks(cgroups::Cgroup& cgroup) {
  for (int i = 0; i < 5000; ++i) {
    const auto processes = cgroup.processes();
    REQUIRE_OK(processes);
    if (processes.value().size() > 1) return;
    ::usleep(1000);
  }
  FAIL("nobody forked within 5 s");
}

// Cgroups below `directory` whose path no system call takes any more (PATH_MAX); the innermost one.
inline UniqueFd nest_deeply(const std::string& directory) {
  auto fd = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 20; ++i) {
    REQUIRE_OK(fd);
    const std::string name(250, static_cast<char>('a' + i));
    REQUIRE_OK(sys::mkdirat(fd.value().get(), name, 0755));
    fd = sys::openat(fd.value().get(), name, O_RDONLY | O_DIRECTORY);
  }
  REQUIRE_OK(fd);
  return std::move(fd).value();
}

inline int exit_code(Child child) {
  const auto status = child.wait();
  REQUIRE_OK(status);
  return status.value().code;
}

inline cgroups::Plan plan_of(cgroups::Version version, const std::string& path, const oci::Resources& resources = {}) {
  auto plan = cgroups::make_plan_for(version, path, resources, "id", cgroups::Driver::cgroupfs);
  REQUIRE_OK(plan);
  return std::move(plan).value();
}

inline std::unique_ptr<cgroups::Cgroup> make(const cgroups::Plan& plan) {
  auto made = cgroups::create(plan);
  REQUIRE_OK(made);
  return std::move(made).value();
}

// open() of a node that this process makes: 0, or the errno of mknod or open.
inline int open_device(const std::string& path, mode_t type, unsigned major, unsigned minor, int flags) {
  const auto made = sys::mknodat(AT_FDCWD, path, type | 0600U, makedev(major, minor));
  if (!made.has_value()) return made.error().os_errno();
  const auto opened = sys::openat(AT_FDCWD, path, flags);
  (void)sys::unlinkat(AT_FDCWD, path);
  return opened.has_value() ? 0 : opened.error().os_errno();
}

inline std::string text_of(const std::string& path) {
  const auto text = read_file(path);
  REQUIRE_OK(text);
  return std::string{trim(text.value())};
}
inline std::string value_of(const std::string& path, const std::string& name) { return text_of(kRoot + path + "/" + name); }

}  // namespace husk::test
