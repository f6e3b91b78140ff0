#include "harness/harness.h"
#include "oci-spec/features.h"
#include "oci-spec/parse_config.h"
#include "oci-spec/state.h"
#include "oci-spec/sysctl.h"

namespace husk::oci {
namespace {

State sample() {
  return {.id = "web-1", .status = "running", .pid = 4711, .bundle = "/b", .annotations = {{"k", "v"}},
          .rootfs = "/b/rootfs", .created = "2026-11-21T09:30:00.000000000Z", .owner = "root"};
}

TEST_CASE("runtime.md#state: required members first, then annotations, then what runc adds") {
  CHECK(state_json(sample()).dump() ==
        R"({"ociVersion":"1.3.0","id":"web-1","pid":4711,"status":"running","bundle":"/b","rootfs":"/b/rootfs",)"
        R"("created":"2026-11-21T09:30:00.000000000Z","annotations":{"k":"v"},"owner":"root"})");
}

TEST_CASE("runtime.md#state: a hook gets what the specification names, and nothing else") {
  CHECK(hook_state_json(sample()).dump() ==
        R"({"ociVersion":"1.3.0","id":"web-1","pid":4711,"status":"running","bundle":"/b","annotations":{"k":"v"}})");
}

TEST_CASE("runtime.md#state: pid is left out when there is no process") {
  auto state = sample();
  state.status = "stopped";
  state.pid = 0;
  CHECK(state_json(state).find("pid") == nullptr);
  CHECK(hook_state_json(state).find("pid") == nullptr);
}

TEST_CASE("features.md: everything is said, from the parser's own tables") {
  const FeatureFacts facts{.mount_options = {"ro", "rro"}, .capabilities = {"CAP_KILL"}, .cgroup_v2 = true, .seccomp = true,
                           .seccomp_supported_flags = {"SECCOMP_FILTER_FLAG_LOG"}, .memory_policy = true,
                           .idmapped_mounts = true, .net_devices = true};
  const auto json = features_json(facts);
  CHECK(*json.find("ociVersionMin")->as_string() == "1.0.0");
  CHECK(*json.find("ociVersionMax")->as_string() == "1.3.0");
  CHECK(json.find("hooks")->dump() == R"(["prestart","createRuntime","createContainer","startContainer","poststart","poststop"])");
  const auto& part = *json.find("linux");
  CHECK(part.find("namespaces")->dump() == R"(["cgroup","ipc","mount","network","pid","time","user","uts"])");
  CHECK(part.find("mountExtensions")->dump() == R"({"idmap":{"enabled":true}})");
  CHECK(part.find("cgroup")->dump() == R"({"v1":false,"v2":true,"systemd":false,"systemdUser":false,"rdma":false})");
  CHECK(part.find("seccomp")->find("actions")->as_array()->size() == 9);
  auto without_notify = facts;
  without_notify.seccomp_actions = {"SCMP_ACT_ALLOW"};
  CHECK(features_json(without_notify).find("linux")->find("seccomp")->find("actions")->dump() == R"(["SCMP_ACT_ALLOW"])");
  CHECK(part.find("memoryPolicy")->find("modes")->as_array()->size() == 7);
  CHECK(json.find("potentiallyUnsafeConfigAnnotations")->is_array());
}

namespace {

// "linux.seccomp.archs" and the like, of every member that is no object itself.
void collect_members(const Json& json, const std::string& prefix, std::vector<std::string>& into) {
  for (const auto& [key, value] : *json.as_object()) {
    const auto name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object() && name != "annotations") collect_members(value, name, into);
    else into.push_back(name);
  }
}

}  // namespace

// Source: runtime-spec v1.3.0 features.md, features-linux.md.
TEST_CASE("features.md, features-linux.md: every property of the specification is there, and no other") {
  std::vector<std::string> members;
  collect_members(features_json({.seccomp = true}), "", members);
  CHECK(members == std::vector<std::string>{
                       "ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux.namespaces", "linux.capabilities",
                       "linux.cgroup.v1", "linux.cgroup.v2", "linux.cgroup.systemd", "linux.cgroup.systemdUser", "linux.cgroup.rdma",
                       "linux.seccomp.enabled", "linux.seccomp.actions", "linux.seccomp.operators", "linux.seccomp.archs",
                       "linux.seccomp.knownFlags", "linux.seccomp.supportedFlags", "linux.apparmor.enabled", "linux.selinux.enabled",
                       "linux.intelRdt.enabled", "linux.intelRdt.schemata", "linux.intelRdt.monitoring", "linux.memoryPolicy.modes",
                       "linux.memoryPolicy.flags", "linux.mountExtensions.idmap.enabled", "linux.netDevices.enabled", "annotations",
                       "potentiallyUnsafeConfigAnnotations"});
}

TEST_CASE("features.md#featuresSpecificationVersion: both versions named are accepted in config.json") {
  const auto json = features_json({});
  for (const auto* name : {"ociVersionMin", "ociVersionMax"}) {
    const auto text = format_text(R"({{"ociVersion":"{}","root":{{"path":"r"}}}})", *json.find(name)->as_string());
    CHECK_OK(parse_config(text));
  }
}

TEST_CASE("sysctl.d(5): the first separator decides, the other one stands for itself") {
  CHECK(sysctl_path("net.ipv4.conf.eth0/1.rp_filter").value() == "net/ipv4/conf/eth0.1/rp_filter");
  CHECK(sysctl_path("net/ipv4/conf/eth0.1/rp_filter").value() == "net/ipv4/conf/eth0.1/rp_filter");
  CHECK(sysctl_path("kernel.msgmax").value() == "kernel/msgmax");
  for (const auto* name : {"", ".", "..", "a..b", "a/../b", "/a", "a.", "a b", "net.../x"}) {
    CAPTURE(name);
    CHECK_FALSE(sysctl_path(name).has_value());
  }
  CHECK(find_sysctl_namespace("fs/mqueue/msg_max") == NamespaceType::ipc);
  CHECK(find_sysctl_namespace("network/x") == std::nullopt);
}

}  // namespace
}  // namespace husk::oci
