// Device rules against the kernel: random lists, each decided by the real filter (v2) or the real devices controller
// (v1), beside the specification's text.
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "cgroups/v1/hierarchy.h"
#include "harness/device_oracle.h"
#include "kernel/cgroups/scene.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

namespace {

constexpr int kLists = 60;
const std::vector<std::optional<std::int64_t>> kNumbers = {std::nullopt, -1, 1, 5, 10, 3};

// A node for each of some devices, on a file system that has device nodes. Nobody opens them: access(2) asks the same
// question of the kernel (devcgroup_inode_permission), and needs no driver.
class Nodes {
 public:
  Nodes() {
    REQUIRE_OK(sys::mount("none", directory_.path(), "tmpfs", 0, "mode=700"));
    for (const char type : {'b', 'c'})
      for (const unsigned number : {1U, 5U, 10U})
        for (const unsigned minor : {3U, 200U}) {
          const auto path = directory_ / format_text("{}-{}-{}", type, number, minor);
          REQUIRE_OK(sys::mknodat(AT_FDCWD, path, mode_of(type) | 0600U, makedev(number, minor)));
          for (unsigned bits = 1; bits <= kMayAll; ++bits) asked_.push_back({{type, number, minor, bits}, path});
        }
  }
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;
  ~Nodes() { CHECK_OK(sys::umount2(directory_.path(), MNT_DETACH)); }

  struct Asked {
    DeviceAccess access;
    std::string path;
  };
  const std::vector<Asked>& asked() const { return asked_; }

  // In the cgroup: '1' for each access that is granted.
  std::string answers() const {
    std::string text;
    const auto fresh = directory_ / "fresh";
    for (const auto& [access, path] : asked_) {
      bool granted = true;
      if ((access.bits & kMayMknod) != 0) {
        granted = ::mknod(fresh.c_str(), mode_of(access.type) | 0600U, makedev(access.major, access.minor)) == 0;
        (void)::unlink(fresh.c_str());
      }
      const int mode = ((access.bits & kMayRead) != 0 ? R_OK : 0) | ((access.bits & kMayWrite) != 0 ? W_OK : 0);
      if (mode != 0) granted = granted && ::access(path.c_str(), mode) == 0;
      text += granted ? '1' : '0';
    }
    return text;
  }

 private:
  static mode_t mode_of(char type) { return type == 'b' ? S_IFBLK : S_IFCHR; }
  TempDir directory_;
  std::vector<Asked> asked_;
};

std::string answers_in(Cgroup& cgroup, const Nodes& nodes) {
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  auto child = start_inside(cgroup, [&] {
    const auto text = nodes.answers();
    return sys::write_all(pipe.value().write_end.get(), text).has_value() ? 0 : 1;
  });
  pipe.value().write_end.reset();
  const auto text = read_all(pipe.value().read_end.get());
  REQUIRE_OK(text);
  CHECK(exit_code(std::move(child)) == 0);
  REQUIRE(text.value().size() == nodes.asked().size());
  return text.value();
}

// v1 wants one exception that covers all kinds of an access: where two together do, it refuses, as the kernel always did.
void check_answers(Version version, const std::string& answers, const Nodes& nodes, const std::vector<oci::DeviceRule>& rules) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& access = nodes.asked()[i].access;
    const bool one_kind = (access.bits & (access.bits - 1)) == 0;
    const bool expected = is_allowed(rules, access);
    const bool granted = answers[i] == '1';
    if (granted == expected || (version == Version::v1 && !one_kind && !granted)) continue;
    FAIL("rules allow: ", expected, ", kernel: ", granted, ", ", access.type, " ", access.major, ":", access.minor, " bits ", access.bits);
  }
}

std::vector<oci::DeviceRule> random_rules(std::mt19937& random) {
  std::vector<oci::DeviceRule> rules;
  if (random() % 6 == 0) rules.push_back({.allow = true, .type = 'a', .access = "rwm"});
  for (auto count = random() % 6; count > 0; --count) rules.push_back(random_rule(random, kNumbers));
  return rules;
}

// Lists that v1 cannot express are refused by name when they are planned; nothing is half done.
void compare(Version version) {
  const Nodes nodes;
  std::mt19937 random{20261121};
  int compared = 0;
  const auto path = own_path();
  auto cgroup = make(plan_of(version, path));
  auto in_force = complete_rules({});
  for (int round = 0; round < kLists; ++round) {
    CAPTURE(round);
    const auto rules = random_rules(random);
    auto plan = plan_of(version, path, {.devices = rules});
    plan.replaced_rules = in_force;
    const auto changed = cgroup->apply(plan);
    if (!changed.has_value()) {
      REQUIRE(version == Version::v1);
      REQUIRE(changed.error().kind() == Kind::unsupported);
      continue;
    }
    in_force = plan.device_rules;
    const auto updated = answers_in(*cgroup, nodes);
    check_answers(version, updated, nodes, in_force);
    // A new cgroup with these rules decides as the one that came to them by updates.
    auto fresh = make(plan_of(version, path + "-fresh", {.devices = rules}));
    CHECK(answers_in(*fresh, nodes) == updated);
    CHECK_OK(fresh->remove());
    ++compared;
  }
  CHECK(compared > kLists / 3);
  CHECK_OK(cgroup->remove());
}

}  // namespace

TEST_CASE("config-linux.md#allowed-device-list: the kernel decides as 60 random lists say, created and updated (cgroup v2)") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  compare(Version::v2);
}

TEST_CASE("config-linux.md#allowed-device-list: the kernel decides as 60 random lists say, created and updated (cgroup v1)") {
  if (!is_root()) HUSK_SKIP("needs root");
  if (!path_exists("/sys/fs/cgroup/devices")) HUSK_SKIP("no devices controller of cgroup v1 here");
  const PrivateMounts mounts;
  compare(Version::v1);
}

TEST_CASE("a device filter is replaced at one moment: a device that both lists allow is never refused") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  auto child = start_inside(*cgroup, [] {
    for (int i = 0; i < 20000; ++i) {
      const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      if (fd < 0) return 1;
      (void)::close(fd);
    }
    return 0;
  });
  const std::vector<oci::DeviceRule> lists[] = {{}, {{.allow = true, .type = 'c', .major = 10, .minor = 200, .access = "rw"}}};
  for (int i = 0; i < 100; ++i) {
    auto plan = plan_of(Version::v2, path, {.devices = lists[i % 2]});
    plan.replaced_rules = complete_rules(lists[(i + 1) % 2]);
    REQUIRE_OK(cgroup->apply(plan));
  }
  CHECK(exit_code(std::move(child)) == 0);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("an update whose device list is refused puts the limits back (cgroup v1)") {
  if (!is_root()) HUSK_SKIP("needs root");
  if (!path_exists("/sys/fs/cgroup/devices")) HUSK_SKIP("no devices controller of cgroup v1 here");
  const auto path = own_path();
  auto parent = make(plan_of(Version::v1, path));
  auto cgroup = make(plan_of(Version::v1, path + "/web", {.pids_limit = 7}));
  // The parent has the default devices only, so its child may not have more.
  auto plan = plan_of(Version::v1, path + "/web",
                      {.devices = {{.allow = true, .type = 'b', .major = 7, .access = "rw"}}, .pids_limit = 9});
  plan.replaced_rules = complete_rules({});
  const auto before = text_of("/sys/fs/cgroup/devices" + path + "/web/devices.list");
  const auto done = cgroup->apply(plan);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().to_string().find("devices.allow") != std::string::npos);
  CHECK(text_of("/sys/fs/cgroup/devices" + path + "/web/devices.list") == before);
  CHECK(text_of("/sys/fs/cgroup/pids" + path + "/web/pids.max") == "7");
  CHECK_OK(cgroup->remove());
  CHECK_OK(parent->remove());
}

TEST_CASE("an empty leftover is used again with the device rules of the next, not with both") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const TempDir nodes;
  const auto node = nodes / "node";
  if (open_device(node, S_IFCHR, 1, 11, O_RDONLY) != 0) HUSK_SKIP("device nodes do not work in the temporary directory");
  const auto path = own_path();
  make(plan_of(Version::v2, path)).reset();
  auto second = make(plan_of(Version::v2, path, {.devices = {{.allow = true, .type = 'c', .major = 1, .minor = 11, .access = "r"}}}));
  const auto opens = [&] { return exit_code(start_child([&] { return open_device(node, S_IFCHR, 1, 11, O_RDONLY); }, second->clone_fd())); };
  CHECK(opens() == 0);
  second.reset();
  second = make(plan_of(Version::v2, path, {.devices = {{.allow = true, .type = 'a', .access = "rwm"}, {.allow = false, .type = 'c', .major = 1, .minor = 11, .access = "r"}}}));
  CHECK(opens() == EPERM);
  CHECK_OK(second->remove());
}
