// What `husk mounts` plans, without privileges.
#include "rootfs/live.h"

#include "harness/harness.h"

using namespace husk;
using rootfs::plan_live_mounts;
using rootfs::plan_live_removal;

namespace {

oci::Spec spec_of_container() {
  oci::Spec spec;
  spec.root = oci::Root{.path = "rootfs"};
  spec.mounts = {{.destination = "/proc", .type = "proc", .source = "proc"}};
  spec.linux.masked_paths = {"/proc/kcore"};
  return spec;
}

std::string refused(const oci::Mount& mount) { return test::error_text(plan_live_mounts(spec_of_container(), {mount}, {.bundle = "/b"})); }

}  // namespace

TEST_CASE("mounts add plans the given mounts alone, as create would") {
  const auto plan = plan_live_mounts(spec_of_container(),
                                     {{.destination = "/data", .source = "volume", .options = {"rbind", "ro"}},
                                      {.destination = "/box", .type = "tmpfs", .source = "t"}},
                                     {.bundle = "/b"});
  REQUIRE_OK(plan);
  REQUIRE(plan.value().mounts.size() == 2);
  CHECK(plan.value().mounts[0].from == "/b/volume");
  CHECK(plan.value().mounts[0].pointer == "/0");
  CHECK(plan.value().mounts[1].pointer == "/1");
  CHECK(plan.value().masked_paths.empty());
}

TEST_CASE("mounts add refuses proc, cgroup v1 and remount with a reason") {
  CHECK(refused({.destination = "/p", .type = "proc", .source = "proc"}).find("pid namespace") != std::string::npos);
  CHECK(refused({.destination = "/c", .type = "cgroup", .source = "cgroup"}).find("cgroup v1") != std::string::npos);
  CHECK(refused({.destination = "/r", .options = {"remount", "ro"}}).find("cannot be changed") != std::string::npos);
}

TEST_CASE("mounts remove: parents before what is below them, and neither the root nor /proc") {
  const auto paths = plan_live_removal({{.destination = "/a/b/../b/c"}, {.destination = "/a/b"}, {.destination = "//z"}});
  REQUIRE_OK(paths);
  CHECK(paths.value() == std::vector<std::string>{"/z", "/a/b", "/a/b/c"});
  for (const auto* kept : {"/", "/..", "/proc/kcore", "/proc/sys/../sys"}) CHECK_FALSE(plan_live_removal({{.destination = kept}}).has_value());
}
