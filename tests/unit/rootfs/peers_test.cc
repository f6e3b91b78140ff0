// Peer groups in mountinfo: man 5 proc_pid_mountinfo.
#include "rootfs/peers.h"

#include "harness/harness.h"

using namespace husk;
using rootfs::PeerGroup;

namespace {

constexpr std::string_view kInfo =
    "21 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "22 21 0:21 / /a rw,relatime shared:7 master:3 propagate_from:2 - tmpfs t rw\n"
    "23 22 0:22 / /a/shared:9 rw,relatime - tmpfs shared:11 rw\n"
    "24 21 0:23 / /b rw,relatime master:1 unbindable - tmpfs t rw\n"
    "broken\n"
    "25 21 0:23 / /c rw,relatime shared:x - tmpfs t rw\n";

}  // namespace

TEST_CASE("peer groups: shared and master numbers among the optional fields only, each once") {
  CHECK(rootfs::peer_groups(kInfo) == std::vector<PeerGroup>{1, 3, 7});
  CHECK(rootfs::peer_groups("").empty());
}

TEST_CASE("peer groups: the group that a mount shares with, and its parent") {
  CHECK(rootfs::shared_group(kInfo, 21) == PeerGroup{1});
  CHECK(rootfs::shared_group(kInfo, 22) == PeerGroup{7});
  for (const std::uint64_t id : {23U, 24U, 25U, 99U}) CHECK_FALSE(rootfs::shared_group(kInfo, id).has_value());
  REQUIRE(rootfs::find_mount_ids(kInfo, 23).has_value());
  CHECK(rootfs::find_mount_ids(kInfo, 23)->parent == 22);
  CHECK_FALSE(rootfs::find_mount_ids(kInfo, 99).has_value());
}
