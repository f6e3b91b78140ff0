// What cannot be had, and what goes away in the middle: one clear error, and nothing left.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/cgroups/payloads.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

namespace {


}  // namespace

TEST_CASE("freeze, kill and removal hold against processes that fork and end without pause") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  auto child = start_inside(*cgroup, fork_storm);
  wait_for_forks(*cgroup);
  REQUIRE_OK(cgroup->freeze());
  CHECK(cgroup->processes().value() == cgroup->processes().value());
  REQUIRE_OK(cgroup->thaw());
  CHECK_OK(cgroup->kill_all(SIGCONT));  // listed while frozen, so nobody is missed
  CHECK_OK(cgroup->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}

TEST_CASE("a cgroup that vanished: reading and changing it is an error, removing it is not") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  REQUIRE_OK(remove_path(path, Version::v2));
  for (const auto& done : {cgroup->freeze(), cgroup->thaw(), cgroup->kill_all(SIGKILL)}) CHECK_FALSE(done.has_value());
  const auto changed = cgroup->apply(plan_of(Version::v2, path, {.unified = {{"cgroup.max.depth", "3"}}}));
  REQUIRE_FALSE(changed.has_value());
  CHECK(changed.error().kind() == Kind::not_found);
  CHECK(changed.error().to_string().ends_with("(hint: the cgroup is gone: somebody removed it)"));
  CHECK_FALSE(cgroup->stats().has_value());
  CHECK(cgroup->processes().value().empty());
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a parent that belongs to somebody else is refused with a hint, and nothing is left") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto parent = make(plan_of(Version::v2, path));
  auto child = start_child([&] {
    if (::setgid(1234) != 0 || ::setuid(1234) != 0) return 1;
    const auto plan = make_plan_for(Version::v2, path + "/deep/web", {}, "id", Driver::cgroupfs);
    if (!plan.has_value()) return 2;
    const auto made = create(plan.value());
    if (made.has_value()) return 3;
    if (made.error().kind() != Kind::denied) return 4;
    return made.error().to_string().find("delegated") == std::string::npos ? 5 : 0;
  });
  CHECK(exit_code(std::move(child)) == 0);
  CHECK_FALSE(path_exists(kRoot + path + "/deep"));
  CHECK_OK(parent->remove());
}

TEST_CASE("config-linux.md#unified: a controller that nobody knows is refused by name, and nothing is made") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  for (const auto* name : {"nosuch.max", "cgroup.nosuch"}) {
    CAPTURE(name);
    const auto made = create(plan_of(Version::v2, path, {.unified = {{name, "1"}}}));
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().kind() == Kind::unsupported);
    CHECK(made.error().to_string().find(std::string{name}.substr(0, 6)) != std::string::npos);
    CHECK_FALSE(path_exists(kRoot + path));
  }
}

TEST_CASE("a limit that the kernel refuses is an error that names field and file, at create and update") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  const oci::Resources refused{.unified = {{"cgroup.max.depth", "many"}}};
  const auto made = create(plan_of(Version::v2, path, refused));
  REQUIRE_FALSE(made.has_value());
  auto cgroup = make(plan_of(Version::v2, path));
  const auto changed = cgroup->apply(plan_of(Version::v2, path, refused));
  REQUIRE_FALSE(changed.has_value());
  for (const auto& error : {made.error(), changed.error()}) {
    const auto text = error.to_string();
    CAPTURE(text);
    CHECK(text.find("\"/linux/resources/unified/cgroup.max.depth\": ") != std::string::npos);
    CHECK(text.find(path + "/cgroup.max.depth") != std::string::npos);
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("values at the edges of the kernel's ranges: written or refused by name, never something else") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("pids");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.pids_limit = 1LL << 22}));
  CHECK_OK(cgroup->remove());
  const auto made = create(plan_of(Version::v2, path, {.pids_limit = (1LL << 62)}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().kind() == Kind::invalid);
  CHECK(made.error().to_string().find("pids.max") != std::string::npos);
  CHECK_FALSE(path_exists(kRoot + path));
}
