// What this kernel can do, probed by trying, each answer cached for the life of the process.
#pragma once

namespace husk::kernel {

bool has_openat2();
bool has_overlay_lowerdir_append();  // fsconfig "lowerdir+" (6.5-6.8, probe)
bool has_cgroup_kill();              // 5.14
bool is_cgroup2_mounted();           // /sys/fs/cgroup is cgroup2 (unified mode)
int thread_count();                  // of this process, from /proc/self/status; -1 unknown

}  // namespace husk::kernel
