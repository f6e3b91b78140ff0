#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>

#include "harness/harness.h"
#include "seccomp/compile.h"
#include "unit/runtime/seccomp_machine.h"

using namespace husk;
using namespace husk::runtime;

namespace {

std::uint32_t verdict(const SeccompFilter& filter, int number, std::array<std::uint64_t, 6> args = {}) {
  CHECK(test::flaw_in(filter.program) == "");
  seccomp_data data{.nr = number, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = 0, .args = {}};
  std::ranges::copy(args, data.args);
  return run_filter(filter.program, data).action;
}

oci::Seccomp deny_all_but(std::vector<std::string> names) {
  oci::Seccomp profile{.default_action = "SCMP_ACT_ERRNO"};
  profile.syscalls = {{.names = std::move(names), .action = "SCMP_ACT_ALLOW"}};
  return profile;
}

}  // namespace

TEST_CASE("config-linux.md#configLinuxSeccomp: named calls are allowed, others get EPERM") {
  const auto filter = compile_seccomp(deny_all_but({"read", "clone3"}));
  REQUIRE_OK(filter);
  CHECK(verdict(filter.value(), SYS_read) == SECCOMP_RET_ALLOW);
  CHECK(verdict(filter.value(), SYS_write) == (SECCOMP_RET_ERRNO | EPERM));
}

TEST_CASE("calls newer than the profile answer ENOSYS, so that programs fall back") {
  const auto filter = compile_seccomp(deny_all_but({"read", "openat"}));
  REQUIRE_OK(filter);
  CHECK(verdict(filter.value(), SYS_clone3) == (SECCOMP_RET_ERRNO | ENOSYS));
  CHECK(verdict(filter.value(), SYS_write) == (SECCOMP_RET_ERRNO | EPERM));
}

TEST_CASE("the ENOSYS answer stays away where the default is not EPERM") {
  auto profile = deny_all_but({"read"});
  profile.default_errno_ret = 77;
  const auto filter = compile_seccomp(profile);
  REQUIRE_OK(filter);
  CHECK(verdict(filter.value(), SYS_clone3) == (SECCOMP_RET_ERRNO | 77));
  profile.default_errno_ret.reset();
  profile.default_action = "SCMP_ACT_KILL_PROCESS";
  const auto killing = compile_seccomp(profile);
  REQUIRE_OK(killing);
  CHECK(verdict(killing.value(), SYS_clone3) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("unknown system calls are skipped, also beside known ones") {
  const auto filter = compile_seccomp(deny_all_but({"no_such_call", "read"}));
  REQUIRE_OK(filter);
  CHECK(verdict(filter.value(), SYS_read) == SECCOMP_RET_ALLOW);
}

TEST_CASE("arguments: masked equality, and several conditions on one index mean any of them") {
  oci::Seccomp profile{.default_action = "SCMP_ACT_ALLOW"};
  profile.syscalls = {{.names = {"personality"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 5,
                       .args = {{.index = 0, .value = 1, .op = "SCMP_CMP_EQ"}, {.index = 0, .value = 2, .op = "SCMP_CMP_EQ"}}},
                      {.names = {"clone"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 6,
                       .args = {{.index = 0, .value = 0xf0, .value_two = 0x10, .op = "SCMP_CMP_MASKED_EQ"}}}};
  const auto filter = compile_seccomp(profile);
  REQUIRE_OK(filter);
  CHECK(verdict(filter.value(), SYS_personality, {1}) == (SECCOMP_RET_ERRNO | 5));
  CHECK(verdict(filter.value(), SYS_personality, {2}) == (SECCOMP_RET_ERRNO | 5));
  CHECK(verdict(filter.value(), SYS_personality, {3}) == SECCOMP_RET_ALLOW);
  CHECK(verdict(filter.value(), SYS_clone, {0x1f}) == (SECCOMP_RET_ERRNO | 6));
  CHECK(verdict(filter.value(), SYS_clone, {0x2f}) == SECCOMP_RET_ALLOW);
}

TEST_CASE("flags: LOG and SPEC_ALLOW reach the kernel, TSYNC means nothing with one thread") {
  auto profile = deny_all_but({"read"});
  profile.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
  const auto filter = compile_seccomp(profile);
  REQUIRE_OK(filter);
  CHECK(filter.value().flags == (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW));
}

TEST_CASE("what a profile may not say is refused with its place") {
  struct Row {
    const char* name;
    void (*change)(oci::Seccomp&);
    const char* text;
  };
  const Row rows[] = {
      {"listener", [](oci::Seccomp& p) { p.syscalls[0].action = "SCMP_ACT_NOTIFY"; }, "/linux/seccomp/listenerPath"},
      {"metadata", [](oci::Seccomp& p) { p.listener_metadata = "m"; }, "/linux/seccomp/listenerMetadata"},
      {"notify by default", [](oci::Seccomp& p) { p.default_action = "SCMP_ACT_NOTIFY"; }, "cannot be used as default action"},
      {"notify write", [](oci::Seccomp& p) { p.syscalls[0] = {.names = {"read", "write"}, .action = "SCMP_ACT_NOTIFY", .errno_ret = {}, .args = {}}; },
       "cannot be used for the write syscall"},
      {"action", [](oci::Seccomp& p) { p.syscalls[0].action = "SCMP_ACT_X"; }, "/linux/seccomp/syscalls/0"},
      {"default", [](oci::Seccomp& p) { p.default_action = ""; }, "/linux/seccomp/defaultAction"},
      {"errno", [](oci::Seccomp& p) { p.syscalls[0].errno_ret = 1; }, "errnoRet"},
      {"arch", [](oci::Seccomp& p) { p.architectures = {"SCMP_ARCH_Z80"}; }, "architectures"},
      {"flag", [](oci::Seccomp& p) { p.flags = {"X"}; }, "flags"},
      {"index", [](oci::Seccomp& p) { p.syscalls[0].args = {{.index = 6, .op = "SCMP_CMP_EQ"}}; }, "index"},
      {"op", [](oci::Seccomp& p) { p.syscalls[0].args = {{.index = 0, .op = "=="}}; }, "operator"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    auto profile = deny_all_but({"read"});
    row.change(profile);
    const auto result = compile_seccomp(profile);
    REQUIRE(!result.has_value());
    CHECK(result.error().to_string().find(row.text) != std::string::npos);
  }
}

TEST_CASE("a listener is asked for where a rule notifies, and WAIT_KILLABLE_RECV means something only then") {
  auto profile = deny_all_but({"read"});
  profile.flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  profile.listener_path = "/run/agent";
  const auto plain = compile_seccomp(profile);
  REQUIRE_OK(plain);
  CHECK(plain.value().flags == 0);
  profile.syscalls.push_back({.names = {"mkdir"}, .action = "SCMP_ACT_NOTIFY", .errno_ret = {}, .args = {}});
  const auto filter = compile_seccomp(profile);
  REQUIRE_OK(filter);
  CHECK(filter.value().has_listener());
  CHECK(filter.value().flags == (SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
  CHECK(verdict(filter.value(), SYS_mkdir) == SECCOMP_RET_USER_NOTIF);
}
