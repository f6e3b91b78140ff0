// Rules of config-linux.md, in its order.
#include "unit/oci-spec/patched_config.h"

namespace husk::oci::test {
namespace {

TEST_CASE("config-linux.md#configLinuxNamespaces: known types, none twice, absolute paths") {
  check_rows({{"/linux/namespaces", R"([{"type":"pid"},{"type":"user","path":"/proc/1/ns/user"},{"type":"cgroup"}])", ""},
              {"/linux/namespaces", R"([{"type":"pid"},{"type":"pid","path":"/proc/1/ns/pid"}])",
               "\"/linux/namespaces/1\": duplicate namespace \"pid\""},
              {"/linux/namespaces", R"([{"type":"net"}])", "unknown namespace type \"net\""},
              {"/linux/namespaces", R"([{"path":"/x"}])", "\"type\" is missing"},
              {"/linux/namespaces", R"([{"type":"pid","path":"ns/pid"}])", "must be an absolute path"}});
}

constexpr std::string_view kOneId = R"([{"containerID":0,"hostID":1000,"size":1}])";

std::string with_user(std::string_view uid_mappings, std::string_view gid_mappings) {
  return format_text(R"({{"namespaces":[{{"type":"user"}}],"uidMappings":{},"gidMappings":{}}})", uid_mappings, gid_mappings);
}

TEST_CASE("config-linux.md#configLinuxUserNamespaceMappings: need a user namespace, and a new one needs them") {
  check_rows({{"/linux", with_user(kOneId, kOneId), ""},
              {"/linux", with_user("[]", kOneId), "\"/linux/uidMappings\": is required"},
              {"/linux", with_user(kOneId, "null"), "\"/linux/gidMappings\": is required"},
              {"/linux/uidMappings", kOneId, "needs a \"user\" namespace"},
              {"/linux/gidMappings", kOneId, "needs a \"user\" namespace"},
              {"/linux/namespaces", R"([{"type":"user","path":"/proc/1/ns/user"}])", ""}});
}

TEST_CASE("config-linux.md#configLinuxUserNamespaceMappings: no empty, wrapping or overlapping mapping") {
  const auto row = [](std::string_view a, std::string_view b) { return format_text("[{},{}]", a, b); };
  constexpr std::string_view kFirst = R"({"containerID":0,"hostID":1000,"size":10})";
  check_rows(
      {{"/linux", with_user(row(kFirst, R"({"containerID":10,"hostID":2000,"size":10})"), kOneId), ""},
       {"/linux", with_user(row(kFirst, R"({"containerID":9,"hostID":2000,"size":10})"), kOneId), "a container id is mapped twice"},
       {"/linux", with_user(row(kFirst, R"({"containerID":20,"hostID":991,"size":10})"), kOneId), "a host id is mapped twice"},
       {"/linux", with_user(R"([{"containerID":0,"hostID":0,"size":0}])", kOneId), "maps nothing"},
       {"/linux", with_user(kOneId, R"([{"containerID":4294967295,"hostID":0,"size":2}])"), "do not fit below 2^32"},
       {"/linux", with_user(kOneId, R"([{"containerID":0,"hostID":4294967295,"size":2}])"), "do not fit below 2^32"}});
}

TEST_CASE("config-linux.md#configLinuxTimeOffset: known clocks in a new time namespace") {
  check_rows({{"/linux/timeOffsets", R"({"monotonic":{"secs":-5,"nanosecs":999999999},"boottime":{}})", ""},
              {"/linux/timeOffsets", R"({"realtime":{"secs":1}})", "no such clock"},
              {"/linux/timeOffsets", R"({"monotonic":{"nanosecs":1000000000}})", "a second or more"},
              {"/linux", R"({"namespaces":[],"timeOffsets":{"boottime":{"secs":1}}})", "needs a \"time\" namespace"},
              {"/linux", R"({"namespaces":[{"type":"time","path":"/t"}],"timeOffsets":{"boottime":{"secs":1}}})", "not one to join"}});
}

TEST_CASE("config-linux.md#configLinuxDevices: type, path and numbers") {
  check_rows({{"/linux/devices", R"([{"type":"c","path":"/dev/x","major":1,"minor":3,"fileMode":438,"uid":1,"gid":2}])", ""},
              {"/linux/devices", R"([{"type":"p","path":"/dev/fifo"}])", ""},
              {"/linux/devices", R"([{"type":"u","path":"/dev/x","major":4095,"minor":1048575}])", ""},
              {"/linux/devices", R"([{"type":"x","path":"/dev/x","major":1,"minor":3}])", "none of"},
              {"/linux/devices", R"([{"type":"","path":"/dev/x","major":1,"minor":3}])", "none of"},
              {"/linux/devices", R"([{"type":"cb","path":"/dev/x","major":1,"minor":3}])", "none of"},
              {"/linux/devices", R"([{"type":"c","path":"/dev/x","minor":3}])", "\"major\" is missing"},
              {"/linux/devices", R"([{"type":"c","path":"dev/x","major":1,"minor":3}])", "absolute"},
              {"/linux/devices", R"([{"type":"b","path":"/dev/x","major":-1,"minor":3}])", "no device number"},
              {"/linux/devices", R"([{"type":"b","path":"/dev/x","major":1,"minor":1048576}])", "no device number"}});
}

TEST_CASE("config-linux.md#configLinuxNetworkDevices: interface names, a template, a network namespace") {
  check_rows({{"/linux/netDevices", R"({"eth0":{"name":"ceth0"},"ens4":{},"ens5":{"name":"dev%d"}})", ""},
              {"/linux/netDevices", R"({"eth0":{"name":"x"},"eth1":{"name":"x"}})", "two devices get the name \"x\""},
              {"/linux/netDevices", R"({"eth0":{"name":"a%d"},"eth1":{"name":"a%d"}})", ""},
              {"/linux/netDevices", R"({"eth0":{"name":"a%s"}})", "no interface name"},
              {"/linux/netDevices", R"({"eth0":{"name":"%d%d"}})", "no interface name"},
              {"/linux/netDevices", R"({"e/h":{}})", "no interface name"},
              {"/linux/netDevices", R"({"":{}})", "no interface name"},
              {"/linux/netDevices", R"({"..":{}})", "no interface name"},
              {"/linux/netDevices", R"({"sixteen-letters-":{}})", "no interface name"},
              {"/linux", R"({"namespaces":[],"netDevices":{"eth0":{}}})", "needs a \"network\" namespace"}});
}

TEST_CASE("config-linux.md#configLinuxCgroupsPath: no way up, one line") {
  check_rows({{"/linux/cgroupsPath", R"("/a/b")", ""},
              {"/linux/cgroupsPath", R"("system.slice:husk:web")", ""},
              {"/linux/cgroupsPath", R"("a/../../b")", "must not contain \"..\""},
              {"/linux/cgroupsPath", R"("a..b")", ""},
              {"/linux/cgroupsPath", R"("a\nb")", "newline"}});
}

TEST_CASE("config-linux.md#configLinuxDeviceAllowedlist: allow is required, access is of r, w, m") {
  check_rows({{"/linux/resources/devices", R"([{"allow":false},{"allow":true,"type":"b","major":8,"minor":-1,"access":"rw"}])", ""},
              {"/linux/resources/devices", R"([{"access":"r"}])", "\"allow\" is missing"},
              {"/linux/resources/devices", R"([{"allow":true,"access":"rx"}])", "not composed of"},
              {"/linux/resources/devices", R"([{"allow":true,"access":"rr"}])", "not composed of"},
              {"/linux/resources/devices", R"([{"allow":true,"type":"p"}])", "must be \"a\", \"b\" or \"c\""},
              {"/linux/resources/devices", R"([{"allow":true,"type":"c","major":4294967297}])", "no device has such a number"}});
}

TEST_CASE("config-linux.md#configLinuxDeviceAllowedlist: only -1 and nothing mean all devices, only nothing all kinds of access") {
  constexpr std::string_view kPlace = "/linux/resources/devices";
  const auto second = [](std::string_view rule) { return format_text(R"([{{"allow":false,"access":"rwm"}},{}])", rule); };
  check_rows({{kPlace, second(R"({"allow":true,"type":"c","major":-1,"minor":-1,"access":"r"})"), ""},
              {kPlace, second(R"({"allow":true,"type":"c"})"), ""},
              {kPlace, second(R"({"allow":true,"type":"c","major":-2,"access":"rwm"})"), "\"/linux/resources/devices/1/major\": no device"},
              {kPlace, second(R"({"allow":true,"type":"c","major":1,"minor":-2})"), "\"/linux/resources/devices/1/minor\": no device"},
              {kPlace, second(R"({"allow":false,"minor":-9223372036854775808})"), "\"/linux/resources/devices/1/minor\": no device"},
              {kPlace, second(R"({"allow":true,"type":"c","major":1,"access":""})"), "\"/linux/resources/devices/1/access\": must name"}});
  const auto update = parse_resources(R"({"devices":[{"allow":true,"type":"c","major":-2,"access":"r"}]})");
  REQUIRE_FALSE(update.has_value());
  CHECK(update.error().to_string().find("/devices/0/major") != std::string::npos);
}

TEST_CASE("config-linux.md#configLinuxMemory: -1 is unlimited, nothing lower; swap holds the memory") {
  for (const auto* name : {"limit", "reservation", "swap", "kernel", "kernelTCP"}) {
    const auto place = std::string{"/linux/resources/memory/"} + name;
    check_rows({{place, "-1", ""}, {place, "0", ""}, {place, "-2", "neither a size nor -1"},
                {place, "9223372036854775808", "not an integer"}, {place, R"("1m")", "must be an integer"}});
  }
  check_rows({{"/linux/resources/memory/swappiness", "100", ""},
              {"/linux/resources/memory/swappiness", "101", "not from 0 to 100"},
              {"/linux/resources/memory", R"({"limit":100,"swap":100})", ""},
              {"/linux/resources/memory", R"({"limit":100,"swap":-1})", ""},
              {"/linux/resources/memory", R"({"limit":100,"swap":99})", "below the memory limit"}});
}

TEST_CASE("config-linux.md#configLinuxCPU: burst within a positive quota, idle 0 or 1, lists") {
  check_rows({{"/linux/resources/cpu", R"({"quota":-1,"burst":5})", ""},
              {"/linux/resources/cpu", R"({"quota":5,"burst":5,"period":10})", ""},
              {"/linux/resources/cpu", R"({"quota":5,"burst":6})", "6 is larger than the quota 5"},
              {"/linux/resources/cpu/idle", "1", ""},
              {"/linux/resources/cpu/idle", "2", "neither 0 nor 1"},
              {"/linux/resources/cpu/cpus", R"("0-3,7")", ""},
              {"/linux/resources/cpu/cpus", R"("0-")", "not a list"},
              {"/linux/resources/cpu/mems", R"("a")", "not a list"},
              {"/linux/resources/cpu/shares", "-1", "not an integer from 0"}});
}

TEST_CASE("config-linux.md#configLinuxBlockIO: weights, and one of them for a device") {
  check_rows({{"/linux/resources/blockIO/weight", "1000", ""},
              {"/linux/resources/blockIO/weight", "9", "not from 10 to 1000"},
              {"/linux/resources/blockIO/weight", "65536", "not an integer from 0 to 65535"},
              {"/linux/resources/blockIO/weightDevice", R"([{"major":8,"minor":0,"leafWeight":10}])", ""},
              {"/linux/resources/blockIO/weightDevice", R"([{"major":8,"minor":0}])", "needs \"weight\" or \"leafWeight\""},
              {"/linux/resources/blockIO/throttleReadBpsDevice", R"([{"major":8,"minor":0}])", "\"rate\" is missing"},
              {"/linux/resources/blockIO/throttleWriteIOPSDevice", R"([{"major":-8,"minor":0,"rate":1}])", "no device number"}});
}

TEST_CASE("config-linux.md#configLinuxHugePageLimits: the page size has the form of the control file") {
  for (const auto* size : {"64KB", "2MB", "1GB"})
    CHECK_OK(parse_config(config_with("/linux/resources/hugepageLimits", format_text(R"([{{"pageSize":"{}","limit":0}}])", size))));
  for (const auto* size : {"", "2", "MB", "2M", "02MB", "2mb", "2MB/..", "-2MB", "2TB", "2 MB"}) {
    CAPTURE(size);
    const auto text = format_text(R"([{{"pageSize":"{}","limit":0}}])", size);
    CHECK_FALSE(parse_config(config_with("/linux/resources/hugepageLimits", text)).has_value());
  }
}

TEST_CASE("config-linux.md#configLinuxNetwork: interface priorities have both members") {
  check_rows({{"/linux/resources/network", R"({"classID":4294967295,"priorities":[{"name":"lo","priority":5}]})", ""},
              {"/linux/resources/network", R"({"priorities":[{"name":"lo"}]})", "\"priority\" is missing"},
              {"/linux/resources/network", R"({"priorities":[{"name":"a b","priority":1}]})", "no interface name"},
              {"/linux/resources/network", R"({"classID":4294967296})", "not an integer"}});
}

TEST_CASE("config-linux.md#configLinuxPIDS: -1 means no limit, 0 is a real limit, absent is untouched") {
  check_rows({{"/linux/resources/pids/limit", "-2", "neither a count nor -1"}});
  const auto limit_of = [](std::string_view value) {
    const auto spec = parse_config(config_with("/linux/resources/pids", value));
    REQUIRE_OK(spec);
    return spec.value().linux.resources.pids_limit;
  };
  CHECK(limit_of(R"({"limit":-1})") == -1);
  CHECK(limit_of(R"({"limit":0})") == 0);
  CHECK_FALSE(limit_of("{}").has_value());
}

TEST_CASE("config-linux.md#configLinuxRDMA: an entry limits handles or objects") {
  check_rows({{"/linux/resources/rdma", R"({"mlx5_1":{"hcaHandles":3}})", ""},
              {"/linux/resources/rdma", R"({"mlx5_1":{}})", "needs \"hcaHandles\" or \"hcaObjects\""},
              {"/linux/resources/rdma", R"({"a b":{"hcaHandles":3}})", "no device name"},
              {"/linux/resources/rdma", R"({"mlx5_1":3})", "must be an object"}});
}

TEST_CASE("config-linux.md#configLinuxUnified: keys are file names, unknown ones are kept") {
  check_rows({{"/linux/resources/unified", R"({"memory.high":"1","some.future":"x"})", ""},
              {"/linux/resources/unified", R"({"../memory.max":"1"})", "no"},
              {"/linux/resources/unified/..", R"("1")", "not the name of a cgroup file"},
              {"/linux/resources/unified", R"({"":"1"})", "not the name of a cgroup file"},
              {"/linux/resources/unified", R"({"a\u0000b":"1"})", "not the name of a cgroup file"},
              {"/linux/resources/unified", R"({"memory.max":1})", "must be a string"}});
}

TEST_CASE("config-linux.md#configLinuxIntelRdt: one directory name; only l3CacheSchema may have several lines") {
  check_rows({{"/linux/intelRdt", R"({"closID":"/"})", ""},
              {"/linux/intelRdt", R"({"closID":"gold","memBwSchema":"MB:0=20","schemata":["L3:0=f"]})", ""},
              {"/linux/intelRdt", R"({"closID":"a/b"})", "no directory name"},
              {"/linux/intelRdt", R"({"closID":".."})", "no directory name"},
              {"/linux/intelRdt", R"({"memBwSchema":"L3:0=20"})", "must start with \"MB:\""},
              {"/linux/intelRdt", R"({"memBwSchema":"MB:0=20\nx"})", "newline"},
              {"/linux/intelRdt", R"({"l3CacheSchema":"L3:0=20\nL2:0=f"})", ""},
              {"/linux/intelRdt", R"({"schemata":["L3:0=f","x\ny"]})", "\"/linux/intelRdt/schemata/1\""}});
}

TEST_CASE("config-linux.md#configLinuxMemoryPolicy: modes, flags and which modes take nodes") {
  check_rows({{"/linux/memoryPolicy", R"({"mode":"MPOL_DEFAULT"})", ""},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_PREFERRED","nodes":""})", ""},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]})", ""},
              {"/linux/memoryPolicy", R"({"nodes":"0"})", "\"mode\" is missing"},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_MAX","nodes":"0"})", "none of"},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_BIND"})", "is required for MPOL_BIND"},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_LOCAL","nodes":"0"})", "must be empty"},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_X"]})", "none of"},
              {"/linux/memoryPolicy", R"({"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]})",
               "exclude each other"}});
}

TEST_CASE("config-linux.md#configLinuxSysctl: only what a namespace keeps apart from the host") {
  check_rows({{"/linux/sysctl", R"({"net.ipv4.ip_forward":"1","kernel.msgmax":"8192","fs.mqueue.msg_max":"5"})", ""},
              {"/linux/sysctl", R"({"net/ipv4/ip_forward":"1"})", ""},
              {"/linux/sysctl", R"({"kernel.hostname":"x"})", ""},
              {"/linux/sysctl", R"({"kernel.panic":"1"})", "would change the host"},
              {"/linux/sysctl", R"({"vm.swappiness":"1"})", "would change the host"},
              {"/linux/sysctl", R"({"net/../kernel/panic":"1"})", "no name of a kernel parameter"},
              {"/linux/sysctl", R"({"net..x":"1"})", "no name of a kernel parameter"},
              {"/linux/sysctl", R"({"/net/x":"1"})", "no name of a kernel parameter"},
              {"/linux/sysctl", R"({"":"1"})", "no name of a kernel parameter"},
              {"/linux/sysctl", R"({"net.a":"1","net/a":"2"})", "twice"},
              {"/linux", R"({"namespaces":[],"sysctl":{"net.ipv4.ip_forward":"1"}})", "needs a \"network\" namespace"},
              {"/linux", R"({"namespaces":[],"sysctl":{"kernel.shmmax":"1"}})", "needs a \"ipc\" namespace"}});
  const auto both = parse_config(R"({"ociVersion":"1.0.0","root":{"path":"r"},"hostname":"a",
    "linux":{"namespaces":[{"type":"uts"}],"sysctl":{"kernel.hostname":"b"}}})");
  CHECK(husk::test::error_text(both).find("contradicts \"hostname\"") != std::string::npos);
}

TEST_CASE("config-linux.md#configLinuxRootfsMountPropagation: the four kinds, recursive too") {
  check_rows({{"/linux/rootfsPropagation", R"("rslave")", ""},
              {"/linux/rootfsPropagation", R"("unbindable")", ""},
              {"/linux/rootfsPropagation", R"("open")", "\"open\" is none of"},
              {"/linux/rootfsPropagation", "true", "must be a string"}});
}

TEST_CASE("config-linux.md#configLinuxMaskedPaths, config-linux.md#configLinuxReadonlyPaths: absolute paths") {
  check_rows({{"/linux/maskedPaths", R"(["/proc/kcore"])", ""},
              {"/linux/maskedPaths", R"(["/proc/kcore","proc"])", "\"/linux/maskedPaths/1\": \"proc\" must be an absolute path"},
              {"/linux/readonlyPaths", R"(["sys"])", "\"/linux/readonlyPaths/0\": \"sys\" must be an absolute path"},
              {"/linux/readonlyPaths", R"("/sys")", "must be an array"}});
}

TEST_CASE("config-linux.md#configLinuxMountLabel: a text, kept as it is") {
  check_rows({{"/linux/mountLabel", "1", "\"/linux/mountLabel\": must be a string"}});
  const auto spec = parse_config(config_with("/linux/mountLabel", R"("system_u:object_r:x:s0:c1,c2")"));
  REQUIRE_OK(spec);
  CHECK(spec.value().linux.mount_label == "system_u:object_r:x:s0:c1,c2");
}

TEST_CASE("config-linux.md#configLinuxPersonality: two domains, and the flags that an exec keeps") {
  check_rows({{"/linux/personality", R"({"domain":"LINUX32"})", ""},
              {"/linux/personality", R"({"domain":"LINUX","flags":[]})", ""},
              {"/linux/personality", R"({"domain":"BSD"})", "none of"},
              {"/linux/personality", R"({"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE","UNAME26"]})", ""},
              {"/linux/personality", R"({"domain":"LINUX","flags":["UNAME26","READ_IMPLIES_EXEC"]})", "\"/linux/personality/flags/1\""},
              {"/linux/personality", R"({"domain":"LINUX","flags":"UNAME26"})", "must be"},
              {"/linux/personality", "{}", "\"domain\" is missing"}});
}

TEST_CASE("config-linux.md#linuxContainerConfiguration, config-linux.md#configLinuxControlGroups: objects") {
  check_rows({{"/linux", "[]", "\"/linux\": must be an object, not array (hint: see runtime-spec config-linux.md#linuxContainerConfiguration)"},
              {"/linux/resources", R"("max")", "see runtime-spec config-linux.md#configLinuxControlGroups"},
              {"/linux/resources", "{}", ""}});
}

}  // namespace
}  // namespace husk::oci::test
