#include "cgroups/path.h"

#include "cgroups/cgroup.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;

TEST_CASE("config-linux.md#cgroups-path: an absolute path is taken below the hierarchy root") {
  const auto path = parse_cgroups_path("/kubepods/burstable/pod1/abc", "id");
  REQUIRE_OK(path);
  CHECK(path.value() == "/kubepods/burstable/pod1/abc");
}

TEST_CASE("config-linux.md#cgroups-path: an absent or relative path has a fixed place of ours") {
  CHECK(parse_cgroups_path("", "web-1").value() == "/husk/web-1");
  CHECK(parse_cgroups_path("team/web", "web-1").value() == "/husk/team/web");
}

TEST_CASE("a cgroup path with doubled or trailing slashes is written plainly") {
  CHECK(parse_cgroups_path("//a///b/", "id").value() == "/a/b");
  CHECK(parse_cgroups_path("/a..b/..c", "id").value() == "/a..b/..c");
}

TEST_CASE("a cgroup path that leaves its place or names no cgroup is refused with its pointer") {
  const std::string long_name(256, 'x');
  const std::vector<std::string> refused = {"/a/../b", "..", "/./a", "/", "//", "/husk", "/a\nb", "/" + long_name};
  for (const auto& bad : refused) {
    CAPTURE(bad);
    const auto path = parse_cgroups_path(bad, "id");
    REQUIRE_FALSE(path.has_value());
    CHECK(path.error().kind() == Kind::invalid);
    CHECK(path.error().to_string().find("/linux/cgroupsPath") != std::string::npos);
  }
}

TEST_CASE("config-linux.md#cgroups-path: \"slice:prefix:name\" is recognised as the systemd form") {
  const auto path = find_systemd_path("kubepods.slice:cri:abc");
  REQUIRE(path.has_value());
  CHECK(path->slice == "kubepods.slice");
  CHECK(path->prefix == "cri");
  CHECK(path->name == "abc");
  CHECK(find_systemd_path(":cri:abc").has_value());
  CHECK_FALSE(find_systemd_path("/a:b:c").has_value());
  CHECK_FALSE(find_systemd_path("a:b").has_value());
  CHECK_FALSE(find_systemd_path("").has_value());
}

TEST_CASE("the cgroupfs driver refuses a systemd path instead of making a directory of that name") {
  const auto plan = make_plan_for(Version::v2, "system.slice:husk:a", {}, "a", Driver::cgroupfs);
  REQUIRE_FALSE(plan.has_value());
  CHECK(plan.error().kind() == Kind::invalid);
}

TEST_CASE("the disabled driver plans nothing, and refuses a limit that it would have to drop") {
  oci::Resources resources;
  resources.devices = {{.allow = false, .access = "rwm"}};
  const auto plan = make_plan_for(Version::v2, "/a", resources, "a", Driver::disabled);
  REQUIRE_OK(plan);
  CHECK(plan.value().files.empty());
  CHECK(plan.value().path.empty());
  resources.pids_limit = 5;
  const auto refused = make_plan_for(Version::v2, "/a", resources, "a", Driver::disabled);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().to_string().find("pids.max") != std::string::npos);
}
