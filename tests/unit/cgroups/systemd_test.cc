// The systemd driver's planning: names, properties, annotations, the request.
#include <algorithm>

#include "cgroups/cgroup.h"
#include "cgroups/systemd/annotations.h"
#include "cgroups/systemd/properties.h"
#include "cgroups/systemd/request.h"
#include "cgroups/systemd/scope.h"
#include "harness/harness.h"

namespace husk::cgroups::systemd {
namespace {

Plan planned(const std::string& path, const oci::Resources& resources, const ScopeOptions& options = {}, Version version = Version::v2) {
  auto plan = make_plan_for(version, path, resources, "web", Driver::systemd, options);
  REQUIRE_OK(plan);
  return std::move(plan).value();
}

// "t 100" of a property; "" when it is not set.
std::string found(const std::vector<Property>& properties, std::string_view name) {
  const auto property = std::ranges::find(properties, name, &Property::name);
  return property == properties.end() ? "" : property->signature + " " + join(property->values, " ");
}
std::string limit(const std::vector<ControlFile>& files, std::string_view name, Version version = Version::v2) {
  return found(limit_properties(version, files, true), name);
}

TEST_CASE("config-linux.md#cgroups-path: slice:prefix:name gives unit, slice and nested path of the systemd driver") {
  struct Row {
    std::string path, unit, slice, cgroup;
  };
  for (const auto& row : {
           Row{"", "husk-web.scope", "system.slice", "/system.slice/husk-web.scope"},
           Row{":runc:web", "runc-web.scope", "system.slice", "/system.slice/runc-web.scope"},
           Row{"machine.slice:libpod:0a1b", "libpod-0a1b.scope", "machine.slice", "/machine.slice/libpod-0a1b.scope"},
           Row{"system.slice::web", "web.scope", "system.slice", "/system.slice/web.scope"},
           Row{"-.slice:a:b", "a-b.scope", "-.slice", "/a-b.scope"},
           Row{"kubepods-besteffort-pod1_2.slice:cri-containerd:x", "cri-containerd-x.scope", "kubepods-besteffort-pod1_2.slice",
               "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-x.scope"},
           Row{"a.slice:husk:x+y", "husk-x\\x2by.scope", "a.slice", "/a.slice/husk-x\\x2by.scope"},
       }) {
    CAPTURE(row.path);
    const auto plan = planned(row.path, {});
    CHECK(plan.scope->unit == row.unit);
    CHECK(plan.scope->slice == row.slice);
    CHECK(plan.path == row.cgroup);
    CHECK(found(plan.scope->properties, "Slice") == "s " + row.slice);
  }
  CHECK(planned("", {}, {.manager = Manager::user, .annotations = {}}).scope->slice == "user.slice");
}

TEST_CASE("the systemd driver refuses another form and bad names, and shows the right one") {
  for (const std::string path : {"/pods/web", "pods/web", "a:b", "a:b:c:d", "a.slice:p:", "a:p:n", "a--b.slice:p:n", "-a.slice:p:n",
                                 "a-.slice:p:n", ".slice:p:n", "a b.slice:p:n", "a.slice:p:pod.slice"}) {
    CAPTURE(path);
    const auto plan = make_plan_for(Version::v2, path, {}, "web", Driver::systemd);
    REQUIRE_FALSE(plan.has_value());
    CHECK(plan.error().kind() == Kind::invalid);
    CHECK(plan.error().to_string().find("slice") != std::string::npos);
  }
  CHECK_FALSE(make_plan_for(Version::v2, "", {}, std::string(300, 'x'), Driver::systemd).has_value());
}

TEST_CASE("every scope is delegated, accounted, strict about devices, and goes when it has failed") {
  const auto properties = planned("", {}).scope->properties;
  for (const auto* name : {"Delegate", "MemoryAccounting", "CPUAccounting", "TasksAccounting", "IOAccounting"}) {
    CAPTURE(name);
    CHECK(found(properties, name) == "b true");
  }
  CHECK(found(properties, "DefaultDependencies") == "b false");
  CHECK(found(properties, "CollectMode") == "s inactive-or-failed");
  CHECK(found(properties, "DevicePolicy") == "s strict");
  CHECK(found(planned("", {}, {.manager = Manager::user, .annotations = {}}).scope->properties, "DevicePolicy").empty());
  CHECK(found(planned("", {}, {}, Version::v1).scope->properties, "BlockIOAccounting") == "b true");
}

TEST_CASE("config-linux.md#memory: bytes and \"max\" become the unit's properties") {
  const std::string infinity = "t 18446744073709551615";
  CHECK(limit({{"memory.max", "1048576"}}, "MemoryMax") == "t 1048576");
  CHECK(limit({{"memory.max", "max"}}, "MemoryMax") == infinity);
  CHECK(limit({{"memory.low", "4096"}}, "MemoryLow") == "t 4096");
  CHECK(limit({{"memory.swap.max", "0"}}, "MemorySwapMax") == "t 0");
  CHECK(limit({{"memory.high", "5"}, {"memory.high", "7"}}, "MemoryHigh") == "t 7");
  CHECK(limit({{"memory.high", "512M"}}, "MemoryHigh") == "t 536870912");
  CHECK(limit({{"memory.high", "2g"}}, "MemoryHigh") == "t 2147483648");
  CHECK(limit({{"memory.high", "20000000000E"}}, "MemoryHigh").empty());
  CHECK(limit({{"memory.high", "much"}}, "MemoryHigh").empty());
  CHECK(limit({{"memory/memory.limit_in_bytes", "-1"}}, "MemoryLimit", Version::v1) == infinity);
  CHECK(limit({{"memory.oom.group", "1"}}, "OOMPolicy") == "s kill");
  CHECK(limit({{"memory.oom.group", "0"}}, "OOMPolicy") == "s continue");
  CHECK(found(limit_properties(Version::v2, {{"memory.oom.group", "1"}}, false), "OOMPolicy").empty());
}

TEST_CASE("config-linux.md#cpu: a quota is rounded up to 10 ms of a second, and keeps its period") {
  struct Row {
    std::string file, share, period;
  };
  for (const auto& row : {Row{"50000 100000", "t 500000", "t 100000"}, Row{"12345 50000", "t 250000", "t 50000"},
                          Row{"33333 100000", "t 340000", "t 100000"}, Row{"1000 1000000", "t 10000", "t 1000000"},
                          Row{"400000 100000", "t 4000000", "t 100000"}, Row{"20000", "t 200000", "t 100000"},
                          Row{"max 50000", "t 18446744073709551615", "t 50000"}}) {
    CAPTURE(row.file);
    CHECK(limit({{"cpu.max", row.file}}, "CPUQuotaPerSecUSec") == row.share);
    CHECK(limit({{"cpu.max", row.file}}, "CPUQuotaPeriodUSec") == row.period);
  }
  CHECK(limit({{"cpu.weight", "100"}}, "CPUWeight") == "t 100");
  CHECK(limit({{"cpu.idle", "1"}}, "CPUWeight") == "t 0");
  CHECK(limit({{"cpu/cpu.shares", "512"}}, "CPUShares", Version::v1) == "t 512");
  CHECK(limit({{"cpu/cpu.cfs_period_us", "50000"}, {"cpu/cpu.cfs_quota_us", "12345"}}, "CPUQuotaPerSecUSec", Version::v1) == "t 250000");
}

TEST_CASE("config-linux.md#cpu: the files get the quota as systemd will write it, so that a reload changes nothing") {
  struct Row {
    std::string file, written;
  };
  for (const auto& row : {Row{"50000 100000", "50000 100000"}, Row{"12345 50000", "12500 50000"}, Row{"33333 100000", "34000 100000"},
                          Row{"20001", "21000 100000"}, Row{"max 50000", "max 50000"}, Row{"max", "max"}, Row{"1000 1000000", "10000 1000000"},
                          Row{"2500 7777", "2566 7777"}, Row{"wrong", "wrong"}}) {
    CAPTURE(row.file);
    std::vector<ControlFile> files{{"cpu.max", row.file}};
    round_quota(Version::v2, files);
    CHECK(files.front().value == row.written);
    const auto share = limit(files, "CPUQuotaPerSecUSec");
    round_quota(Version::v2, files);
    CHECK(files.front().value == row.written);  // once more: the same
    CHECK(limit(files, "CPUQuotaPerSecUSec") == share);
  }
  std::vector<ControlFile> files{{"cpu/cpu.cfs_period_us", "50000"}, {"cpu/cpu.cfs_quota_us", "12345"}};
  round_quota(Version::v1, files);
  CHECK(files.back().value == "12500");
  oci::Resources resources;
  resources.cpu = oci::CpuLimits{.quota = 12345, .period = 50000};
  CHECK(planned("", resources).files.front() == ControlFile{"cpu.max", "12500 50000"});
}

TEST_CASE("config-linux.md#configLinuxPIDS: systemd is told 1 for 0, and no limit for -1") {
  oci::Resources resources;
  resources.pids_limit = 0;
  const auto plan = planned("", resources);
  CHECK(found(plan.scope->properties, "TasksMax") == "t 1");
  CHECK(plan.files.front() == ControlFile{"pids.max", "0"});
  resources.pids_limit = -1;
  CHECK(found(planned("", resources).scope->properties, "TasksMax") == "t 18446744073709551615");
  CHECK(found(planned("", {}).scope->properties, "TasksMax").empty());
}

TEST_CASE("config-linux.md#cpu: lists of CPUs and memory nodes become masks, lowest byte first") {
  struct Row {
    std::string list, mask;
  };
  for (const auto& row : {Row{"0", "01"}, Row{"0-3,7", "8f"}, Row{"8", "0001"}, Row{"1,16-17", "020003"}, Row{"", ""}}) {
    CAPTURE(row.list);
    const auto mask = number_mask(row.list);
    if (row.list.empty()) {
      CHECK_FALSE(mask.has_value());
      continue;
    }
    REQUIRE_OK(mask);
    CHECK(mask.value() == row.mask);
  }
  CHECK_FALSE(number_mask("4-2").has_value());
  CHECK_FALSE(number_mask("0-4000000000").has_value());
  CHECK(limit({{"cpuset.cpus", "1"}}, "AllowedCPUs") == "ay 02");
  CHECK(limit({{"cpuset.mems", "0"}}, "AllowedMemoryNodes") == "ay 01");
}

TEST_CASE("config-linux.md#device-whitelist: an update empties systemd's list first; an annotation keeps its own") {
  const auto changed = device_change(Version::v2, {{.allow = false, .type = 'a', .access = "rwm"}, {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "r"}});
  REQUIRE_OK(changed);
  const auto& change = changed.value();
  REQUIRE(change.size() == 3);
  CHECK(change[0] == Property{"DeviceAllow", "a(ss)", {}});
  CHECK(change[1] == Property{"DevicePolicy", "s", {"strict"}});
  CHECK(change[2] == Property{"DeviceAllow", "a(ss)", {"/dev/char/1:3", "r"}});
  CHECK_FALSE(has_own_device_list(planned("", {})));
  CHECK(has_own_device_list(planned("", {}, {.manager = Manager::system, .annotations = {{"org.systemd.property.DevicePolicy", "'auto'"}}})));
}

TEST_CASE("config-linux.md#device-whitelist: systemd allows what the filter allows, never less") {
  const auto deny = oci::DeviceRule{.allow = false, .type = 'a', .access = "rwm"};
  const auto list = device_properties(Version::v2, {deny,
                                       {.allow = true, .type = 'c', .major = 10, .minor = 200, .access = "rw"},
                                       {.allow = true, .type = 'b', .major = 8, .access = "r"},
                                       {.allow = true, .type = 'c', .minor = 5, .access = "rw"},
                                       {.allow = true, .type = 'a', .access = "m"},
                                       {.allow = false, .type = 'c', .major = 10, .minor = 201, .access = "rw"}}).value();
  CHECK(found(list, "DevicePolicy") == "s strict");
  const auto text = found(list, "DeviceAllow");
  for (const std::string part : {"/dev/char/10:200 rw", "block-8 r", "char-* rwm", "block-* m"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(text.find("201") == std::string::npos);
  CHECK(device_properties(Version::v2, {{.allow = true, .type = 'a', .access = "rwm"}}).value() == std::vector<Property>{{"DevicePolicy", "s", {"auto"}}});
}

TEST_CASE("config-linux.md#device-whitelist: on v1, where a reload puts systemd's list in force, it is the same or refused") {
  const auto deny = oci::DeviceRule{.allow = false, .type = 'a', .access = "rwm"};
  const auto allow = oci::DeviceRule{.allow = true, .type = 'a', .access = "rwm"};
  const auto rule = [](bool allowed, std::optional<std::int64_t> major, std::optional<std::int64_t> minor, const char* access) {
    return oci::DeviceRule{.allow = allowed, .type = 'c', .major = major, .minor = minor, .access = access};
  };
  struct Row {
    std::vector<oci::DeviceRule> rules;
    std::string list;  // "" = refused
  };
  for (const auto& row : {Row{{deny, rule(true, 1, 3, "rw")}, "a(ss) /dev/char/1:3 rw"},
                          Row{{deny, rule(true, 1, {}, "rwm"), rule(false, 1, {}, "m")}, "a(ss) char-1 rw"},
                          Row{{deny, rule(true, {}, {}, "m")}, "a(ss) char-* m"},
                          Row{{deny, rule(true, {}, 11, "rw")}, ""},
                          Row{{deny, rule(true, 1, {}, "rw"), rule(false, 1, 3, "rw")}, ""},
                          Row{{allow, rule(false, 8, {}, "w")}, ""}}) {
    CAPTURE(row.list);
    const auto done = device_properties(Version::v1, row.rules);
    REQUIRE(done.has_value() == !row.list.empty());
    if (done.has_value()) CHECK(found(done.value(), "DeviceAllow") == row.list);
    else CHECK(done.error().to_string().find("/linux/resources/devices") != std::string::npos);
  }
  CHECK(found(device_properties(Version::v1, {deny, allow}).value(), "DevicePolicy") == "s auto");
}

TEST_CASE("org.systemd.property.NAME: GVariant texts keep their types") {
  struct Row {
    std::string text, wanted;
  };
  for (const auto& row : {Row{"uint64 10000000", "t 10000000"}, Row{"15", "i 15"}, Row{"'inactive-or-failed'", "s inactive-or-failed"},
                          Row{"\"a\\\"b\"", "s a\"b"}, Row{"true", "b true"}, Row{"int32 -3", "i -3"}, Row{"@t 5", "t 5"},
                          Row{"['a', 'b']", "as a b"}, Row{"[('/dev/null', 'rw')]", "a(ss) /dev/null rw"}, Row{"@as []", "as "},
                          Row{"1.5", "d 1.5"}, Row{"byte 255", "y 255"}, Row{"@a(st) [('/dev/sda', 5)]", "a(st) /dev/sda 5"}}) {
    CAPTURE(row.text);
    const auto property = parse_variant("Name", row.text);
    REQUIRE_OK(property);
    CHECK(found({property.value()}, "Name") == row.wanted);
  }
  for (const std::string text : {"", "uint64", "uint64 -1", "'open", "[1, 'a']", "[]", "plain", "1 2", "byte 256", "int32 3000000000",
                                 "['a'", "('a'", "[['a']]", "@as 5", "uint64 'a'", "@b 1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_variant("Name", text).has_value());
  }
}

TEST_CASE("org.systemd.property.NAME: seconds become microseconds, husk's own are refused, others win over ours") {
  const auto properties = [](const std::string& name, const std::string& value) {
    return make_plan_for(Version::v2, "", {}, "web", Driver::systemd,
                         {.manager = Manager::system, .annotations = {{"org.systemd.property." + name, value}, {"other", "x"}}});
  };
  const auto seconds = properties("TimeoutStopSec", "uint64 5");
  REQUIRE_OK(seconds);
  CHECK(found(seconds.value().scope->properties, "TimeoutStopUSec") == "t 5000000");
  const auto micro = properties("TimeoutStopUSec", "uint64 5");
  REQUIRE_OK(micro);
  CHECK(found(micro.value().scope->properties, "TimeoutStopUSec") == "t 5");
  const auto mode = properties("CollectMode", "'inactive'");
  REQUIRE_OK(mode);
  CHECK(found(mode.value().scope->properties, "CollectMode") == "s inactive");
  for (const std::string name : {"PIDs", "Slice", "Delegate", "x", "With Space", "Num9"}) {
    CAPTURE(name);
    const auto refused = properties(name, "true");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().to_string().find("org.systemd.property." + name) != std::string::npos);
  }
}

TEST_CASE("request and reply say after parsing what they said before") {
  const Request request{.verb = Verb::set, .unit = "a.scope", .properties = {{"A", "a(ss)", {"x", "", "y\n", "z"}}, {"B", "as", {}}}};
  const auto again = parse_request(write_request(request));
  REQUIRE_OK(again);
  CHECK(again.value().verb == Verb::set);
  CHECK(again.value().unit == "a.scope");
  CHECK(again.value().properties == request.properties);
  CHECK(parse_reply(write_reply(ok())).has_value());
  const auto error = parse_reply(write_reply(Error{Kind::exists, "it is there"}.hint("take another")));
  REQUIRE_FALSE(error.has_value());
  CHECK(error.error().kind() == Kind::exists);
  CHECK(error.error().to_string() == "it is there (hint: take another)");
  for (const auto& text : {std::string{}, std::string{"start"}, std::string{"fly\0a\0", 6}, std::string{"set\0a\0P\0t\0" "9\0", 12}}) CHECK_FALSE(parse_request(text).has_value());
  CHECK_FALSE(parse_reply("").has_value());
}

TEST_CASE("the cgroup of a scope is what the kernel says") {
  const auto path = scope_path("0::/user.slice/user-5.slice/user@5.service/user.slice/a.scope\n", "a.scope", Version::v2);
  REQUIRE_OK(path);
  CHECK(path.value() == "/user.slice/user-5.slice/user@5.service/user.slice/a.scope");
  const auto old = scope_path("3:memory:/x\n1:name=systemd:/system.slice/a.scope\n0::/system.slice/a.scope\n", "a.scope", Version::v1);
  REQUIRE_OK(old);
  CHECK(old.value() == "/system.slice/a.scope");
  CHECK_FALSE(scope_path("0::/init.scope\n", "a.scope", Version::v2).has_value());
  CHECK_FALSE(scope_path("", "a.scope", Version::v2).has_value());
}

}  // namespace
}  // namespace husk::cgroups::systemd
