#include "rootfs/mount_points.h"

namespace husk::rootfs {

RootfsPlan plan_mount_points(RootfsPlan plan) {
  for (auto& op : plan.mounts)
    if (op.act == Act::fresh || op.act == Act::cgroup)
      op = {.act = Act::fresh, .pointer = op.pointer, .from = "tmpfs", .to = op.to, .type = "tmpfs"};
  std::erase_if(plan.mounts, [](const auto& op) { return op.act == Act::remount; });
  plan.masked_paths.clear();
  plan.readonly_paths.clear();
  plan.readonly_root = false;
  return plan;
}

}  // namespace husk::rootfs
