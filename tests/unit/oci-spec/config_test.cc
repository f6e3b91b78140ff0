// Rules of config.md, in its order.
#include "unit/oci-spec/patched_config.h"

namespace husk::oci::test {
namespace {

TEST_CASE("config.md#configSpecificationVersion: SemVer, and the same major version") {
  check_rows({{"/ociVersion", R"("1.0.0")", ""},
              {"/ociVersion", R"("1.0.2-dev")", ""},
              {"/ociVersion", R"("1.0.0-rc.1+exp.sha.5114f85")", ""},
              {"/ociVersion", R"("1.9.0")", ""},
              {"/ociVersion", R"("2.0.0")", "not compatible"},
              {"/ociVersion", R"("0.9.0")", "not compatible"},
              {"/ociVersion", R"("1.0")", "not a SemVer"},
              {"/ociVersion", R"("1.0.x")", "not a SemVer"},
              {"/ociVersion", R"("01.0.0")", "not a SemVer"},
              {"/ociVersion", R"("1.0.0-")", "not a SemVer"},
              {"/ociVersion", R"("1.0.0-01")", "not a SemVer"},
              {"/ociVersion", R"("1.0.0+a..b")", "not a SemVer"},
              {"/ociVersion", R"("v1.0.0")", "not a SemVer"},
              {"/ociVersion", R"("")", "see runtime-spec config.md#configSpecificationVersion"},
              {"/ociVersion", "1", "must be a string, not number"},
              {"/ociVersion", "null", "required property \"ociVersion\" is missing"}});
}

TEST_CASE("config.md#configRoot: root and its path are required") {
  check_rows({{"/root", "null", "\"/root\": is required"},
              {"/root", "{}", "\"path\" is missing"},
              {"/root/path", R"("")", "must not be empty"},
              {"/root/path", R"("/abs")", ""},
              {"/root/readonly", R"("yes")", "\"/root/readonly\": must be a boolean"},
              {"/root", R"("rootfs")", "must be an object"}});
}

TEST_CASE("config.md#configMounts: destination is required; a relative one means below \"/\"") {
  check_rows({{"/mounts", R"([{"destination":"/a"}])", ""},
              {"/mounts", R"([{"source":"x"}])", "\"/mounts/0\": required property \"destination\""},
              {"/mounts", R"([{"destination":""}])", "must not be empty"},
              {"/mounts", R"([{"destination":"/a\u0000b"}])", "NUL"},
              {"/mounts", R"([{"destination":"/a","options":"ro"}])", "must be an array"},
              {"/mounts", R"({})", "must be an array"},
              {"/mounts", R"([[]])", "\"/mounts/0\": must be an object"}});
  const auto spec = parse_config(config_with("/mounts", R"([{"destination":"data/x"}])"));
  REQUIRE_OK(spec);
  CHECK(spec.value().mounts.at(0).destination == "/data/x");
}

TEST_CASE("config.md#configMounts: entries keep their order, the number of entries is bounded") {
  const auto spec = parse_config(config_with("/mounts", R"([{"destination":"/b"},{"destination":"/a"},{"destination":"/b"}])"));
  REQUIRE_OK(spec);
  CHECK(spec.value().mounts.at(0).destination == "/b");
  CHECK(spec.value().mounts.at(1).destination == "/a");
  std::string many = "[";
  for (int i = 0; i <= 4096; ++i) many += R"({"destination":"/a"},)";
  many.back() = ']';
  const auto refused = parse_config(config_with("/mounts", many));
  CHECK_FALSE(refused.has_value());
  CHECK(husk::test::error_text(refused).find("at most 4096") != std::string::npos);
}

TEST_CASE("config.md#configLinuxMountOptions: idmap and ridmap need mappings or a user namespace") {
  check_rows({{"/mounts", R"([{"destination":"/a","options":["bind","idmap"]}])", "needs \"uidMappings\""},
              {"/mounts", R"([{"destination":"/a","options":["rbind","ridmap"]}])", "needs \"uidMappings\""},
              {"/mounts", R"([{"destination":"/a","options":["bind","idmap"],
                "uidMappings":[{"containerID":0,"hostID":1,"size":1}],"gidMappings":[{"containerID":0,"hostID":1,"size":1}]}])", ""}});
  CHECK_OK(parse_config(R"({"ociVersion":"1.2.0","root":{"path":"r"},"mounts":[{"destination":"/a","options":["idmap"]}],
    "linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1,"size":1}],
    "gidMappings":[{"containerID":0,"hostID":1,"size":1}]}})"));
}

TEST_CASE("config.md#configPOSIXMounts: uidMappings and gidMappings come together") {
  check_rows({{"/mounts", R"([{"destination":"/a","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}])", "together"},
              {"/mounts", R"([{"destination":"/a","gidMappings":[{"containerID":0,"hostID":1,"size":1}]}])", "together"},
              {"/mounts", R"([{"destination":"/a","uidMappings":[{"containerID":0,"size":1}]}])", "\"hostID\" is missing"}});
}

TEST_CASE("config.md#configProcess: process may be absent; cwd is absolute, args has an entry") {
  check_rows({{"/process", "null", ""},
              {"/process/cwd", R"("relative")", "\"/process/cwd\": \"relative\" must be an absolute path"},
              {"/process/cwd", "null", "\"cwd\" is missing"},
              {"/process/cwd", R"("")", "absolute"},
              {"/process/args", "[]", "\"/process/args\": at least one entry"},
              {"/process/args", "null", "at least one entry"},
              {"/process/args", R"(["a",1])", "\"/process/args/1\": must be a string"},
              {"/process/args", R"(["a\u0000"])", "NUL"},
              {"/process/env", R"("A=1")", "must be an array"},
              {"/process/terminal", "1", "must be a boolean"},
              {"/process/consoleSize", R"({"height":1})", "\"width\" is missing"},
              {"/process/consoleSize", R"({"height":-1,"width":1})", "not an integer from 0"}});
}

TEST_CASE("config.md#configPOSIXUser: ids are required 32-bit numbers, never names") {
  check_rows({{"/process/user", R"({"gid":0})", "\"uid\" is missing"},
              {"/process/user", R"({"uid":0})", "\"gid\" is missing"},
              {"/process/user/uid", R"("1000")", "must be an integer, not string"},
              {"/process/user/uid", "-1", "not an integer from 0 to 4294967295"},
              {"/process/user/uid", "4294967296", "not an integer from 0 to 4294967295"},
              {"/process/user/uid", "4294967295", "no user id"},
              {"/process/user/uid", "1.0", "not an integer"},
              {"/process/user/uid", "1e3", "not an integer"},
              {"/process/user/gid", "4294967295", "no group id"},
              {"/process/user/additionalGids", "[1,4294967295]", "no group id"},
              {"/process/user/umask", "511", ""},
              {"/process/user/umask", "512", "permission bits"}});
}

TEST_CASE("config.md#configProcess: consoleSize fits the kernel's 16 bits instead of being cut to them") {
  check_rows({{"/process/consoleSize", R"({"height":65535,"width":0})", ""},
              {"/process/consoleSize", R"({"height":65536,"width":80})", "/process/consoleSize"},
              {"/process/consoleSize", R"({"height":25,"width":4294967295})", "more than the kernel's 65535"}});
}

TEST_CASE("config.md#configPOSIXProcess: rlimits are known, complete and given once") {
  check_rows({{"/process/rlimits", R"([{"type":"RLIMIT_NOFILE","soft":1,"hard":18446744073709551615}])", ""},
              {"/process/rlimits", R"([{"type":"RLIMIT_TEST","soft":1,"hard":1}])", "\"RLIMIT_TEST\" is none of"},
              {"/process/rlimits", R"([{"type":"RLIMIT_NOFILE","soft":2,"hard":1}])", "soft limit 2 is above hard limit 1"},
              {"/process/rlimits", R"([{"type":"RLIMIT_NOFILE","hard":1}])", "\"soft\" is missing"},
              {"/process/rlimits", R"([{"type":"RLIMIT_CPU","soft":1,"hard":1},{"type":"RLIMIT_CPU","soft":1,"hard":1}])",
               "duplicate entry for RLIMIT_CPU"},
              {"/process/rlimits", R"([{"type":"RLIMIT_CPU","soft":-1,"hard":1}])", "not an integer from 0"}});
}

TEST_CASE("config.md#configLinuxProcess: a capability that cannot be granted is no error") {
  check_rows({{"/process/capabilities", R"({"bounding":["CAP_FROM_THE_FUTURE","nonsense"]})", ""},
              {"/process/capabilities", R"({"bounding":"CAP_KILL"})", "must be an array"},
              {"/process/capabilities", R"(["CAP_KILL"])", "must be an object"}});
}

TEST_CASE("config.md#configLinuxProcess: oomScoreAdj is from -1000 to 1000") {
  check_rows({{"/process/oomScoreAdj", "-1000", ""},
              {"/process/oomScoreAdj", "1000", ""},
              {"/process/oomScoreAdj", "-1001", "not from -1000 to 1000"},
              {"/process/oomScoreAdj", "1001", "not from -1000 to 1000"},
              {"/process/oomScoreAdj", "99999999999", "not an integer"}});
}

TEST_CASE("config.md#configLinuxProcess: scheduler policies, flags and the numbers that go with them") {
  check_rows({{"/process/scheduler", R"({"policy":"SCHED_BATCH","nice":19})", ""},
              {"/process/scheduler", R"({"policy":"SCHED_FIFO","priority":99})", ""},
              {"/process/scheduler", R"({"policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":3})", ""},
              {"/process/scheduler", R"({"nice":1})", "\"policy\" is missing"},
              {"/process/scheduler", R"({"policy":"SCHED_FAST"})", "\"SCHED_FAST\" is none of SCHED_OTHER"},
              {"/process/scheduler", R"({"policy":"SCHED_OTHER","flags":["SCHED_FLAG_X"]})", "none of"},
              {"/process/scheduler", R"({"policy":"SCHED_OTHER","nice":20})", "not from -20 to 19"},
              {"/process/scheduler", R"({"policy":"SCHED_FIFO"})", "0 is not from 1 to 99"},
              {"/process/scheduler", R"({"policy":"SCHED_OTHER","priority":1})", "only for SCHED_FIFO"},
              {"/process/scheduler", R"({"policy":"SCHED_OTHER","runtime":1})", "only for SCHED_DEADLINE"}});
}

TEST_CASE("config.md#configLinuxProcess: ioPriority classes and levels, execCPUAffinity lists") {
  check_rows({{"/process/ioPriority", R"({"class":"IOPRIO_CLASS_BE","priority":7})", ""},
              {"/process/ioPriority", R"({"class":"IOPRIO_CLASS_NONE","priority":0})", "none of"},
              {"/process/ioPriority", R"({"class":"IOPRIO_CLASS_BE","priority":8})", "not from 0 to 7"},
              {"/process/ioPriority", R"({"class":"IOPRIO_CLASS_BE","priority":-1})", "not from 0 to 7"},
              {"/process/ioPriority", R"({"priority":1})", "\"class\" is missing"},
              {"/process/execCPUAffinity", R"({"initial":"0-3,7","final":""})", ""},
              {"/process/execCPUAffinity", R"({"initial":"3-0"})", "not a list"},
              {"/process/execCPUAffinity", R"({"initial":"1,"})", "not a list"},
              {"/process/execCPUAffinity", R"({"final":" 1"})", "not a list"},
              {"/process/execCPUAffinity", R"({"final":"0-4294967295"})", "not a list"}});
}

TEST_CASE("config.md#configHostname, config.md#configDomainname: need a uts namespace, at most 64 bytes") {
  check_rows({{"/hostname", R"("web")", ""}, {"/domainname", R"("example.com")", ""}});
  CHECK_FALSE(parse_config(config_with("/hostname", "\"" + std::string(65, 'h') + "\"")).has_value());
  const auto host = parse_config(R"({"ociVersion":"1.0.0","root":{"path":"r"},"hostname":"h"})");
  CHECK(husk::test::error_text(host).find("needs a \"uts\" namespace") != std::string::npos);
  CHECK_FALSE(parse_config(R"({"ociVersion":"1.0.0","root":{"path":"r"},"domainname":"d"})").has_value());
}

TEST_CASE("config.md#configHooks: an absolute path and a time-out above zero") {
  for (const auto* stage : {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}) {
    const std::string place = std::string{"/hooks/"} + stage;
    const auto pointer = "\"" + place + "/0/path\"";
    check_rows({{place, R"([{"path":"/bin/true","args":["true"],"env":["A=1"],"timeout":1}])", ""},
                {place, R"([{"path":"bin/true"}])", pointer},
                {place, R"([{"args":["x"]}])", "\"path\" is missing"},
                {place, R"([{"path":"/x","timeout":0}])", "greater than zero"},
                {place, R"([{"path":"/x","timeout":-5}])", "greater than zero"},
                {place, R"([{"path":"/x","timeout":"5"}])", "must be an integer"}});
  }
}

TEST_CASE("config.md#configAnnotations: keys are not empty, values are strings") {
  check_rows({{"/annotations", R"({"a":"","b":"x"})", ""},
              {"/annotations", R"({"":"x"})", "a key must not be empty"},
              {"/annotations", R"({"a":1})", "\"/annotations/a\": must be a string"},
              {"/annotations", R"(["a"])", "must be an object"}});
}

TEST_CASE("a broken text is refused with its place, never accepted in part") {
  for (const auto* text : {"", "{", "[]", "null", "\"x\"", "{\"ociVersion\":\"1.0.0\"", "{\"ociVersion\":\"1.0.0\",}",
                           "{\"ociVersion\":\"1.0.0\",\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}}"}) {
    CAPTURE(text);
    const auto spec = parse_config(text);
    CHECK_FALSE(spec.has_value());
    if (!spec.has_value()) CHECK(spec.error().kind() == Kind::invalid);
  }
}

}  // namespace
}  // namespace husk::oci::test
