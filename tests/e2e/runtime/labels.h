// AppArmor profiles and an SELinux policy for tests: tests/vm/suite boots a machine with each (--append lsm=…).
#pragma once

#include <string>

#include "base/file.h"
#include "bench.h"

namespace husk::test {

inline bool has_apparmor() {
  const auto text = read_file("/sys/module/apparmor/parameters/enabled", 16);
  return text.has_value() && text.value().starts_with('Y') && sys::access("/usr/sbin/apparmor_parser", X_OK).has_value();
}

inline bool has_selinux_kernel() {
  return sys::access("/sys/fs/selinux/load", F_OK).has_value() && sys::access("/usr/bin/checkpolicy", X_OK).has_value();
}

inline Change profile(const std::string& name, const Change& more = {}) {
  return [name, more](oci::Spec& spec) {
    spec.process->apparmor_profile = name;
    if (more) more(spec);
  };
}

inline constexpr const char* kProfile = R"(
profile husk-e2e flags=(attach_disconnected,mediate_deleted) {
  file, capability, network, mount, umount, signal, ptrace, unix,
  deny /bin/hidden r,
}
profile husk-e2e-other flags=(attach_disconnected,mediate_deleted) { file, capability, signal, unix, }
)";

inline void load_profiles(Bench& bench) {
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("profiles"), kProfile));
  const auto loaded = bench.shell("apparmor_parser -r " + bench.path("profiles"));
  REQUIRE_MESSAGE(loaded.status.code == 0, loaded.err);
}

// Everything is allowed and some types exist; classes that it does not name are allowed too (-U allow). With levels (-M):
// CRIU takes labels for valid only when they have three colons (verify_selinux_label() in criu/lsm.c).
inline constexpr const char* kPolicy = R"(class process
class file
class filesystem
class dir
class key
sid kernel
sid security
sid unlabeled
sid file
sid port
sid netif
sid netmsg
sid node
sid devnull
class process { fork transition dyntransition setexec setkeycreate }
class file { read execute entrypoint relabelfrom relabelto }
class filesystem { mount associate }
class dir { read relabelfrom relabelto }
class key { search view }
sensitivity s0;
dominance { s0 }
category c0;
level s0:c0;
mlsconstrain file read ( l1 dom l2 );
type host_t;
type box_t;
type other_t;
type boxfile_t;
type otherfile_t;
role base_r;
role base_r types { host_t box_t other_t boxfile_t otherfile_t };
allow host_t host_t:process fork;
user user_u roles base_r level s0 range s0 - s0:c0;
sid kernel user_u:base_r:host_t:s0
sid security user_u:object_r:host_t:s0
sid unlabeled user_u:object_r:host_t:s0
sid file user_u:object_r:host_t:s0
sid port user_u:object_r:host_t:s0
sid netif user_u:object_r:host_t:s0
sid netmsg user_u:object_r:host_t:s0
sid node user_u:object_r:host_t:s0
sid devnull user_u:object_r:host_t:s0
fs_use_xattr ext4 user_u:object_r:host_t:s0;
fs_use_xattr overlay user_u:object_r:host_t:s0;
fs_use_trans tmpfs user_u:object_r:host_t:s0;
fs_use_trans devpts user_u:object_r:host_t:s0;
fs_use_trans devtmpfs user_u:object_r:host_t:s0;
fs_use_trans mqueue user_u:object_r:host_t:s0;
fs_use_task pipefs user_u:object_r:host_t:s0;
fs_use_task sockfs user_u:object_r:host_t:s0;
genfscon proc / user_u:object_r:host_t:s0
genfscon sysfs / user_u:object_r:host_t:s0
genfscon cgroup2 / user_u:object_r:host_t:s0
)";
inline constexpr const char* kBox = "user_u:base_r:box_t:s0";
inline constexpr const char* kBoxFile = "user_u:object_r:boxfile_t:s0";

inline void load_policy(Bench& bench) {
  if (bench.shell("cat /proc/self/attr/current").out.starts_with("user_u:")) return;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("policy.conf"), kPolicy));
  const auto loaded = bench.shell(format_text("cd {} && checkpolicy -M -U allow -o policy policy.conf && dd if=policy of=/sys/fs/selinux/load bs=4M",
                                              bench.path("")));
  REQUIRE_MESSAGE(loaded.status.code == 0, (loaded.out + loaded.err));
}

}  // namespace husk::test

#define REQUIRE_APPARMOR()                                                                        \
  REQUIRE_E2E();                                                                                  \
  do {                                                                                            \
    if (!has_apparmor()) HUSK_SKIP("needs AppArmor in the kernel and apparmor_parser (tests/run vm)"); \
  } while (false)
#define REQUIRE_SELINUX()                                                                    \
  REQUIRE_E2E();                                                                             \
  do {                                                                                       \
    if (!has_selinux_kernel()) HUSK_SKIP("needs SELinux in the kernel and checkpolicy (tests/run vm)"); \
  } while (false)
