#include "oci-spec/features.h"

#include "oci-spec/names.h"

namespace husk::oci {
namespace {

template <std::size_t N>
Json words_json(const std::array<std::string_view, N>& words) {
  Json array = Json::array();
  for (const auto word : words) array.push(Json{word});
  return array;
}

Json enabled_json(bool enabled) {
  Json json = Json::object();
  json.set("enabled", Json{enabled});
  return json;
}

Json cgroup_json(const FeatureFacts& facts) {
  Json json = Json::object();
  json.set("v1", Json{facts.cgroup_v1});
  json.set("v2", Json{facts.cgroup_v2});
  json.set("systemd", Json{facts.cgroup_systemd});
  json.set("systemdUser", Json{facts.cgroup_systemd_user});
  json.set("rdma", Json{facts.cgroup_rdma});
  return json;
}

Json seccomp_json(const FeatureFacts& facts) {
  Json json = enabled_json(facts.seccomp);
  if (!facts.seccomp) return json;
  json.set("actions", facts.seccomp_actions.empty() ? words_json(kSeccompActions) : Json{facts.seccomp_actions});
  json.set("operators", words_json(kSeccompOperators));
  json.set("archs", facts.seccomp_archs.empty() ? words_json(kSeccompArchs) : Json{facts.seccomp_archs});
  json.set("knownFlags", words_json(kSeccompFlags));
  json.set("supportedFlags", Json{facts.seccomp_supported_flags});
  return json;
}

Json memory_policy_json(const FeatureFacts& facts) {
  Json json = Json::object();
  json.set("modes", facts.memory_policy ? words_json(kMemoryPolicyModes) : Json::array());
  json.set("flags", facts.memory_policy ? words_json(kMemoryPolicyFlags) : Json::array());
  return json;
}

Json intel_rdt_json(const FeatureFacts& facts) {
  Json json = enabled_json(facts.intel_rdt);
  json.set("schemata", Json{facts.intel_rdt_schemata});
  json.set("monitoring", Json{facts.intel_rdt_monitoring});
  return json;
}

Json linux_features_json(const FeatureFacts& facts) {
  Json json = Json::object();
  Json namespaces = Json::array();
  for (const auto& row : kNamespaceNames) namespaces.push(Json{row.name});
  json.set("namespaces", std::move(namespaces));
  json.set("capabilities", Json{facts.capabilities});
  json.set("cgroup", cgroup_json(facts));
  json.set("seccomp", seccomp_json(facts));
  json.set("apparmor", enabled_json(facts.apparmor));
  json.set("selinux", enabled_json(facts.selinux));
  json.set("intelRdt", intel_rdt_json(facts));
  json.set("memoryPolicy", memory_policy_json(facts));
  Json extensions = Json::object();
  extensions.set("idmap", enabled_json(facts.idmapped_mounts));
  json.set("mountExtensions", std::move(extensions));
  json.set("netDevices", enabled_json(facts.net_devices));
  return json;
}

}  // namespace

Json features_json(const FeatureFacts& facts) {
  Json json = Json::object();
  json.set("ociVersionMin", Json{"1.0.0"});
  json.set("ociVersionMax", Json{kSpecVersion});
  Json hooks = Json::array();
  for (const auto& stage : kHookStages) hooks.push(Json{stage.name});
  json.set("hooks", std::move(hooks));
  json.set("mountOptions", Json{facts.mount_options});
  json.set("linux", linux_features_json(facts));
  Json annotations = Json::object();
  for (const auto& [key, value] : facts.annotations) annotations.append(key, Json{value});
  json.set("annotations", std::move(annotations));
  json.set("potentiallyUnsafeConfigAnnotations", Json{facts.potentially_unsafe_annotations});
  return json;
}

}  // namespace husk::oci
