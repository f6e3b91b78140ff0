#include "outside.h"

#include "criu/request.h"
#include "harness/harness.h"
#include "mount_table.h"

namespace husk::runtime {
namespace {

TEST_CASE("what is outside of a container: written and read again; keys hold numbers only") {
  Outside outside{.mounts = {0, 7}, .destinations = {"/a", "/b"}, .sources = {}, .masks = {1}, .masked_directories = {2}, .devices = {3}, .hierarchies = {"memory"}};
  outside.stdio = {"pipe:[5]", "", "file[a:b]"};
  outside.label = "selinux:a:b:c:s0:c1,c2";
  outside.page_files = {"pages-1.img"};
  outside.page_bytes = {1ULL << 40U};
  const auto again = parse_outside(write_outside(outside));
  REQUIRE_OK(again);
  CHECK(again.value().mounts == outside.mounts);
  CHECK(again.value().destinations == outside.destinations);
  CHECK(again.value().masks == outside.masks);
  CHECK(again.value().masked_directories == outside.masked_directories);
  CHECK(again.value().devices == outside.devices);
  CHECK(again.value().hierarchies == outside.hierarchies);
  CHECK(again.value().stdio == outside.stdio);
  CHECK(again.value().label == outside.label);
  CHECK(again.value().page_files == outside.page_files);
  CHECK(again.value().page_bytes == outside.page_bytes);
  CHECK(mount_key(7) == "husk-mount-7");
}

TEST_CASE("an image is restored with mounts in another order, and refused when one is missing") {
  rootfs::RootfsPlan plan;
  plan.mounts = {{.act = rootfs::Act::fresh, .to = "/a"}, {.act = rootfs::Act::bind, .to = "/b"}, {.act = rootfs::Act::bind, .to = "/a"}};
  Outside outside{.mounts = {5, 6}, .destinations = {"/a", "/b"}, .sources = {}};
  CHECK(find_sources(outside, plan));
  CHECK(outside.sources == std::vector<std::size_t>{2, 1});
  outside.destinations.push_back("/c");
  CHECK(!find_sources(outside, plan));
  outside.destinations = {"/a", "/a"};
  CHECK(!find_sources(outside, plan));
}

TEST_CASE("husk-checkpoint.json: what is no such file is refused") {
  const std::string rest = R"("masks":[],"maskedDirectories":[],"devices":[],"hierarchies":[],)";
  for (const auto& text :
       {std::string{"{}"}, std::string{"[]"}, R"({"mounts":["/etc"],)" + rest + R"("stdio":["","",""]})",
        R"({"mounts":[-1],)" + rest + R"("stdio":["","",""]})", R"({"mounts":[],)" + rest + R"("stdio":["",""]})",
        R"({"mounts":[],)" + rest + R"("stdio":["/etc/shadow","",""]})",
        R"({"mounts":[],)" + rest + R"("pageFiles":["pages-/../x"],"pageBytes":[1],"stdio":["","",""]})",
        R"({"mounts":[],)" + rest + R"("pageFiles":["pages-1.img"],"pageBytes":[],"stdio":["","",""]})"}) {
    CAPTURE(text);
    CHECK(!parse_outside(text).has_value());
  }
}

TEST_CASE("mountinfo: what the kernel has escaped is plain again") {
  const auto table = parse_mount_table(
      "36 35 98:0 /mnt1 /a\\040b\\134]: rw,noatime master:1 - ext3 /dev/root rw\n37 36 0:5 / /proc rw - proc proc rw\n");
  REQUIRE_OK(table);
  REQUIRE(table.value().all().size() == 2);
  const auto* first = table.value().find(36);
  REQUIRE(first != nullptr);
  CHECK(first->point == "/a b\\]:");
  CHECK(first->type == "ext3");
  CHECK(table.value().find(37)->parent == 36);
  CHECK(table.value().find(99) == nullptr);
  CHECK(!parse_mount_table("garbage").has_value());
}

TEST_CASE("a request reaches husk-criu as it was") {
  criu::Request request{.action = "restore", .pid = 4, .root = "/r", .images_fd = 5, .leave_running = true, .cgroup_mode = "soft"};
  request.mounts = {{"/a]:b", "husk-mount-1"}};
  request.externals = {"net[4]:husk-net"};
  request.inherited = {{.key = "pipe:[3]", .fd = 0}};
  request.joined = {{"ipc", "/proc/1/ns/ipc"}};
  const auto again = criu::parse_request(criu::write_request(request));
  REQUIRE_OK(again);
  CHECK(again.value().action == "restore");
  CHECK(again.value().leave_running);
  CHECK(!again.value().tcp_close);
  CHECK(again.value().images_fd == 5);
  CHECK(again.value().work_fd == -1);
  CHECK(again.value().mounts == request.mounts);
  CHECK(again.value().externals == request.externals);
  CHECK(again.value().joined == request.joined);
  REQUIRE(again.value().inherited.size() == 1);
  CHECK(again.value().inherited[0].key == "pipe:[3]");
  CHECK(!criu::parse_request("{}").has_value());
  const auto event = criu::parse_event(criu::write_event({.kind = "notify", .script = "post-restore", .pid = 7}));
  REQUIRE_OK(event);
  CHECK(event.value().pid == 7);
}

}  // namespace
}  // namespace husk::runtime
