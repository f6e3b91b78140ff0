// config-linux.md#configLinuxSeccomp
#include "unit/oci-spec/patched_config.h"

namespace husk::oci::test {
namespace {

constexpr std::string_view kSeccomp = "/linux/seccomp";

TEST_CASE("config-linux.md#configLinuxSeccomp: every action, operator, architecture and flag by name") {
  check_rows({{kSeccomp, R"({"defaultAction":"SCMP_ACT_KILL_PROCESS"})", ""},
              {kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_LOONGARCH64"],
                "flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]})", ""},
              {kSeccomp, "{}", "\"defaultAction\" is missing"},
              {kSeccomp, R"({"defaultAction":"ALLOW"})", "none of SCMP_ACT_KILL"},
              {kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]})", "\"/linux/seccomp/architectures/0\""},
              {kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_NEW"]})", "none of"}});
}

TEST_CASE("config-linux.md#configLinuxSeccomp: rules name a call, an action, and arguments 0 to 5") {
  const auto rule = [](std::string_view text) {
    return format_text(R"({{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}})", text);
  };
  check_rows(
      {{kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":5,"value":18446744073709551615,"op":"SCMP_CMP_NE"}]})"), ""},
       {kSeccomp, rule(R"({"names":[],"action":"SCMP_ACT_LOG"})"), "at least one entry"},
       {kSeccomp, rule(R"({"action":"SCMP_ACT_LOG"})"), "\"names\" is missing"},
       {kSeccomp, rule(R"({"names":[""],"action":"SCMP_ACT_LOG"})"), "must not be empty"},
       {kSeccomp, rule(R"({"names":["read"]})"), "\"action\" is missing"},
       {kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_X"})"), "none of"},
       {kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_NE"}]})"), "not from 0 to 5"},
       {kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":0,"op":"=="}]})"), "none of"},
       {kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":-1,"op":"SCMP_CMP_NE"}]})"), "not an integer"},
       {kSeccomp, rule(R"({"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_NE"}]})"), "\"value\" is missing"}});
}

TEST_CASE("config-linux.md#configLinuxSeccomp: an errno only for actions that return one") {
  for (const auto* action : {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}) {
    const auto text = format_text(R"({{"defaultAction":"{}","defaultErrnoRet":38,"syscalls":[{{"names":["a"],"action":"{}","errnoRet":1}}]}})", action, action);
    CHECK_OK(parse_config(config_with(kSeccomp, text)));
  }
  for (const auto* action : {"SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS"}) {
    const auto by_default = format_text(R"({{"defaultAction":"{}","defaultErrnoRet":1}})", action);
    const auto by_rule = format_text(R"({{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["a"],"action":"{}","errnoRet":1}}]}})", action);
    check_rows({{kSeccomp, by_default, "has no error number"}, {kSeccomp, by_rule, "has no error number"}});
  }
  check_rows({{kSeccomp, R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":65536})", "not from 0 to 65535"}});
}

TEST_CASE("config-linux.md#configLinuxSeccomp: listenerMetadata and SCMP_ACT_NOTIFY need listenerPath") {
  check_rows({{kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a"})", ""},
              {kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"m"})", "must not be set without \"listenerPath\""},
              {kSeccomp, R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_NOTIFY"}]})",
               "is required when SCMP_ACT_NOTIFY is used"}});
}

}  // namespace
}  // namespace husk::oci::test
