#include "oci-spec/features.h"

#include <array>

#include "annotations.h"
#include "base/process.h"
#include "capabilities.h"
#include "cli/verb.h"
#include "host_facts.h"
#include "rootfs/mount_options.h"
#include "seccomp/compile.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

// Source: runtime-spec features.md.
Result<int> run_features(const Globals&, const Parsed& parsed) {
  TRY(parsed.at_most(0));
  const bool has_systemd = sibling_program("husk-scope").has_value();
  const bool has_criu = sibling_program("husk-criu").has_value();
  const bool has_netdev = sibling_program("husk-netdev").has_value();
  const auto seccomp = runtime::seccomp_support();
  oci::StringMap annotations{{"io.github.seccomp.libseccomp.version", seccomp.library_version},
                             {"husk.version", HUSK_VERSION},
                             {"husk.checkpoint.enabled", has_criu ? "true" : "false"}};
  for (auto& fact : runtime::find_host_facts()) annotations.push_back(std::move(fact));
  const oci::FeatureFacts facts{.mount_options = rootfs::mount_option_names(),
                                .capabilities = runtime::capability_names(),
                                .cgroup_v1 = true,
                                .cgroup_v2 = true,
                                .cgroup_systemd = has_systemd,
                                .cgroup_systemd_user = has_systemd,
                                .cgroup_rdma = true,
                                .seccomp = true,
                                .seccomp_actions = seccomp.actions,
                                .seccomp_archs = seccomp.architectures,
                                .seccomp_supported_flags = seccomp.flags,
                                .apparmor = true,
                                .selinux = true,
                                .intel_rdt = true,
                                .intel_rdt_schemata = true,
                                .intel_rdt_monitoring = true,
                                .memory_policy = true,
                                .idmapped_mounts = true,
                                .net_devices = has_netdev,
                                .annotations = std::move(annotations),
                                .potentially_unsafe_annotations = runtime::unsafe_annotations()};
  TRY(print(oci::features_json(facts).dump(2) + "\n"));
  return 0;
}

}  // namespace

const Verb kFeaturesVerb{.name = "features", .arguments = "", .summary = "print what this runtime supports as JSON", .options = kOptions, .run = run_features};

}  // namespace husk::cli
