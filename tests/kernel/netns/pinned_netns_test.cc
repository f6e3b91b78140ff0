// create_pinned and remove_pinned on the real kernel.
#include <sched.h>
#include <sys/mount.h>

#include "harness/harness.h"
#include "netns/link.h"
#include "netns/namespace_thread.h"
#include "netns/pod_network.h"
#include "kernel/netns/world.h"

namespace husk::netns::test {
namespace {

std::string own_namespace() {
  const auto link = sys::readlinkat(AT_FDCWD, "/proc/thread-self/ns/net");
  REQUIRE_OK(link);
  return link.value();
}

std::string inside(const std::string& path, const std::string& file) {
  const auto netns = open_namespace(path);
  REQUIRE_OK(netns);
  std::string text;
  REQUIRE_OK(in_namespace(netns.value(), [&]() -> Status {
    text = TRY(read_file(file));
    return ok();
  }));
  return std::string{trim(text)};
}

}  // namespace

TEST_CASE("a pinned namespace outlives its thread, has lo up, and is not the caller's") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  const auto before = own_namespace();
  REQUIRE_OK(create_pinned(world.netns("web"), {}));
  CHECK(own_namespace() == before);
  const auto netns = open_namespace(world.netns("web"));
  REQUIRE_OK(netns);
  auto socket = open_route_socket(netns.value());
  REQUIRE_OK(socket);
  const auto lo = find_link(socket.value(), "lo");
  REQUIRE_OK(lo);
  REQUIRE(lo.value().has_value());
  CHECK(lo.value()->up);
}

TEST_CASE("sysctls of a pod are set in its namespace only") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  const auto file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  const auto before = read_file(file);
  REQUIRE_OK(create_pinned(world.netns("web"), {{"net.ipv4.ip_unprivileged_port_start", "7"},
                                                {"net/ipv4/conf/lo/arp_ignore", "2"}}));
  CHECK(inside(world.netns("web"), file) == "7");
  CHECK(inside(world.netns("web"), "/proc/sys/net/ipv4/conf/lo/arp_ignore") == "2");
  CHECK(read_file(file).value() == before.value());
}

TEST_CASE("a sysctl that cannot be set fails the creation and leaves no file") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  struct Row {
    std::string key;
    std::string value;
    std::string expected;
  };
  for (const auto& row : {Row{"kernel.shmmax", "1", "not a setting of a network namespace"},
                          Row{"net.ipv4.no_such_setting", "1", "no such setting"},
                          Row{"net.ipv4.ip_forward", "many", "the kernel refused"},
                          Row{"net..ipv4", "1", "not a valid name"}, Row{"net/../kernel/x", "1", "not a valid name"}}) {
    CAPTURE(row.key);
    const auto made = create_pinned(world.netns("web"), {{row.key, row.value}});
    REQUIRE(!made.has_value());
    CHECK(made.error().kind() == Kind::invalid);
    CHECK(made.error().to_string().find(row.expected) != std::string::npos);
    CHECK(!path_exists(world.netns("web")));
  }
}

TEST_CASE("leftovers of a crash are replaced: a plain file, a stale mount, a stack of mounts") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  const auto path = world.netns("web");
  REQUIRE_OK(write_atomically(AT_FDCWD, path, ""));
  REQUIRE_OK(create_pinned(path, {}));
  REQUIRE_OK(sys::mount("/proc/self/ns/net", path, "", MS_BIND, ""));
  REQUIRE_OK(sys::mount("/proc/self/ns/net", path, "", MS_BIND, ""));
  REQUIRE_OK(create_pinned(path, {}));
  const auto netns = open_namespace(path);
  REQUIRE_OK(netns);
  auto socket = open_route_socket(netns.value());
  REQUIRE_OK(socket);
  const auto links = list_links(socket.value());
  REQUIRE_OK(links);
  for (const auto& link : links.value()) CHECK(link.name != "uplink0");
}

TEST_CASE("removal takes every mount and the file, and its absence is success") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  const auto path = world.netns("web");
  REQUIRE_OK(create_pinned(path, {}));
  REQUIRE_OK(sys::mount("/proc/self/ns/net", path, "", MS_BIND, ""));
  REQUIRE_OK(remove_pinned(path));
  CHECK(!path_exists(path));
  CHECK(read_file("/proc/self/mountinfo").value().find(path) == std::string::npos);
  CHECK_OK(remove_pinned(path));
  CHECK_OK(remove_pinned(world.netns("no/such/directory")));
}

TEST_CASE("what is not a network namespace is neither replaced nor removed") {
  if (!can_run()) HUSK_SKIP("needs root");
  const World world;
  const auto path = world.netns("directory");
  REQUIRE_OK(make_directories(path));
  const auto made = create_pinned(path, {});
  REQUIRE(!made.has_value());
  CHECK(made.error().kind() == Kind::exists);
  CHECK(!remove_pinned(path).has_value());
  CHECK(path_exists(path));
  CHECK(create_pinned("relative/path", {}).error().kind() == Kind::invalid);
}

}  // namespace husk::netns::test
