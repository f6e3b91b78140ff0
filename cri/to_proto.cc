#include "cri/to_proto.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cri/from_proto.h"

namespace husk::cri {
namespace {

namespace v1 = runtime::v1;

void fill(google::protobuf::Map<std::string, std::string>* into, const StringMap& from) {
  for (const auto& [key, value] : from) (*into)[key] = value;
}

// The contract counts in nanoseconds, the kernel in microseconds. Source: cri-api, api.proto, PsiData.
void fill(const cgroups::PressureLine& from, v1::PsiData* into) {
  constexpr std::uint64_t kNsPerUs = 1000;
  into->set_total(from.total_us * kNsPerUs);
  into->set_avg10(from.avg10);
  into->set_avg60(from.avg60);
  into->set_avg300(from.avg300);
}

void fill(const cgroups::Pressure& from, v1::PsiStats* into) {
  fill(from.some, into->mutable_some());
  fill(from.full, into->mutable_full());
}

template <class Message>
void fill_pod(const PodRecord& from, Message* into) {
  into->set_id(from.id);
  auto* metadata = into->mutable_metadata();
  metadata->set_name(from.metadata.name);
  metadata->set_uid(from.metadata.uid);
  metadata->set_namespace_(from.metadata.namespace_name);
  metadata->set_attempt(from.metadata.attempt);
  fill(into->mutable_labels(), from.labels);
  fill(into->mutable_annotations(), from.annotations);
}

template <class Message>
void fill_container(const ContainerRecord& from, Message* into) {
  into->set_id(from.id);
  into->mutable_metadata()->set_name(from.name);
  into->mutable_metadata()->set_attempt(from.attempt);
  fill(into->mutable_labels(), from.labels);
  fill(into->mutable_annotations(), from.annotations);
}

v1::PodSandboxState state_of(const PodRecord& record) {
  return record.ready ? v1::PodSandboxState::SANDBOX_READY : v1::PodSandboxState::SANDBOX_NOTREADY;
}
v1::ContainerState state_of(const ContainerRecord& record) { return static_cast<v1::ContainerState>(record.state); }

void fill_resources(const Resources& from, v1::LinuxContainerResources* into) {
  into->set_cpu_period(from.cpu_period);
  into->set_cpu_quota(from.cpu_quota);
  into->set_cpu_shares(from.cpu_shares);
  into->set_memory_limit_in_bytes(from.memory_limit);
  into->set_memory_swap_limit_in_bytes(from.memory_swap_limit);
  into->set_oom_score_adj(from.oom_score_adj);
  into->set_cpuset_cpus(from.cpuset_cpus);
  into->set_cpuset_mems(from.cpuset_mems);
  fill(into->mutable_unified(), from.unified);
  for (const auto& item : from.hugepage_limits) {
    auto* limit = into->add_hugepage_limits();
    limit->set_page_size(item.page_size);
    limit->set_limit(item.limit);
  }
}

void fill_mount(const MountRequest& from, v1::Mount* into) {
  into->set_container_path(from.container_path);
  into->set_host_path(from.host_path);
  into->set_readonly(from.readonly);
  into->set_selinux_relabel(from.selinux_relabel);
  into->set_propagation(static_cast<v1::MountPropagation>(from.propagation));
  into->set_recursive_read_only(from.recursive_read_only);
  if (from.image.empty()) return;
  into->mutable_image()->set_image(from.image);
  into->mutable_image()->set_image_ref(from.image_ref);
  into->set_image_sub_path(from.image_sub_path);
}

bool has_labels(const StringMap& labels, const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& want) {
    return std::ranges::any_of(labels, [&](const auto& label) { return label.first == want.first && label.second == want.second; });
  });
}

}  // namespace

void to_proto(const PodRecord& from, v1::PodSandbox* into) {
  fill_pod(from, into);
  into->set_state(state_of(from));
  into->set_created_at(from.created_at_ns);
  into->set_runtime_handler(from.runtime_handler);
}

void to_proto(const PodRecord& from, v1::PodSandboxStatus* into) {
  fill_pod(from, into);
  into->set_state(state_of(from));
  into->set_created_at(from.created_at_ns);
  into->set_runtime_handler(from.runtime_handler);
  auto* network = into->mutable_network();
  // A pod that gave its addresses back has none.
  for (std::size_t i = 0; i < from.addresses.size() && !from.released; ++i) {
    if (i == 0) {
      network->set_ip(from.addresses[i]);
    } else {
      network->add_additional_ips()->set_ip(from.addresses[i]);
    }
  }
  auto* options = into->mutable_linux()->mutable_namespaces()->mutable_options();
  options->set_network(static_cast<v1::NamespaceMode>(from.namespaces.network));
  options->set_pid(static_cast<v1::NamespaceMode>(from.namespaces.pid));
  options->set_ipc(static_cast<v1::NamespaceMode>(from.namespaces.ipc));
  options->set_target_id(from.namespaces.target_id);
}

void to_proto(const ContainerRecord& from, v1::Container* into) {
  fill_container(from, into);
  into->set_pod_sandbox_id(from.pod_id);
  into->mutable_image()->set_image(from.image);
  into->mutable_image()->set_user_specified_image(from.user_specified_image);
  into->set_image_ref(from.image_ref);
  into->set_image_id(from.image_id);
  into->set_state(state_of(from));
  into->set_created_at(from.created_at_ns);
}

void to_proto(const ContainerRecord& from, v1::ContainerStatus* into) {
  fill_container(from, into);
  into->set_state(state_of(from));
  into->set_created_at(from.created_at_ns);
  into->set_started_at(from.started_at_ns);
  into->set_finished_at(from.finished_at_ns);
  into->set_exit_code(from.exit_code);
  into->set_reason(from.reason);
  into->set_message(from.message);
  into->mutable_image()->set_image(from.image_name);
  into->mutable_image()->set_user_specified_image(from.user_specified_image);
  into->set_image_ref(from.image_ref);
  into->set_image_id(from.image_id);
  into->set_log_path(from.log_path);
  for (const auto& mount : from.mounts) fill_mount(mount, into->add_mounts());
  fill_resources(from.resources, into->mutable_resources()->mutable_linux());
  auto* user = into->mutable_user()->mutable_linux();
  user->set_uid(from.user.uid);
  user->set_gid(from.user.gid);
  for (const auto group : from.user.groups) user->add_supplemental_groups(group);
  into->set_stop_signal(signal_value(from.stop_signal));
}

void to_proto(const images::Image& from, v1::Image* into) {
  into->set_id(from.id);
  for (const auto& tag : from.repo_tags) into->add_repo_tags(tag);
  for (const auto& digest : from.repo_digests) into->add_repo_digests(digest);
  into->set_size(from.size_bytes);
  into->set_pinned(from.pinned);
  into->mutable_spec()->set_image(from.id);
  // USER is "uid", "name", "uid:gid" or "name:group"; "" is root.
  const auto user = from.config.user.substr(0, from.config.user.find(':'));
  if (user.empty()) return;
  if (const auto uid = parse_uint32(user); uid.has_value()) {
    into->mutable_uid()->set_value(uid.value());
  } else {
    into->set_username(user);
  }
}

void to_proto(const images::FsUsage& from, v1::FilesystemUsage* into) {
  into->set_timestamp(now_unix_ns());
  into->mutable_fs_id()->set_mountpoint(from.mountpoint);
  into->mutable_used_bytes()->set_value(from.used_bytes);
  into->mutable_inodes_used()->set_value(from.inodes_used);
}

void attributes(const PodRecord& from, v1::PodSandboxAttributes* into) { fill_pod(from, into); }
void attributes(const ContainerRecord& from, v1::ContainerAttributes* into) { fill_container(from, into); }

void to_proto(const cgroups::Stats& from, v1::CpuUsage* into) {
  into->set_timestamp(from.timestamp_ns);
  into->mutable_usage_core_nano_seconds()->set_value(from.cpu.usage_ns);
  if (from.cpu.pressure.has_value()) fill(*from.cpu.pressure, into->mutable_psi());
}

void to_proto(const cgroups::Stats& from, v1::MemoryUsage* into) {
  const auto& memory = from.memory;
  into->set_timestamp(from.timestamp_ns);
  into->mutable_working_set_bytes()->set_value(memory.working_set_bytes);
  into->mutable_usage_bytes()->set_value(memory.usage_bytes);
  into->mutable_rss_bytes()->set_value(memory.rss_bytes);
  into->mutable_page_faults()->set_value(memory.page_faults);
  into->mutable_major_page_faults()->set_value(memory.major_page_faults);
  if (memory.limit_bytes != 0)
    into->mutable_available_bytes()->set_value(memory.limit_bytes - std::min(memory.limit_bytes, memory.working_set_bytes));
  if (memory.pressure.has_value()) fill(*memory.pressure, into->mutable_psi());
}

void to_proto(const cgroups::Stats& from, v1::SwapUsage* into) {
  const auto& memory = from.memory;
  into->set_timestamp(from.timestamp_ns);
  into->mutable_swap_usage_bytes()->set_value(memory.swap_bytes);
  if (memory.swap_limit_bytes.has_value())
    into->mutable_swap_available_bytes()->set_value(*memory.swap_limit_bytes - std::min(*memory.swap_limit_bytes, memory.swap_bytes));
}

void to_proto(const cgroups::Stats& from, v1::IoUsage* into) {
  into->set_timestamp(from.timestamp_ns);
  if (from.io.pressure.has_value()) fill(*from.io.pressure, into->mutable_psi());
}

void to_proto(const std::vector<netns::InterfaceStats>& from, v1::NetworkUsage* into) {
  into->set_timestamp(now_unix_ns());
  for (const auto& item : from) {
    if (item.name == "lo") continue;
    // The pod's own interface comes first; others are additional.
    auto* usage = into->has_default_interface() ? into->add_interfaces() : into->mutable_default_interface();
    usage->set_name(item.name);
    usage->mutable_rx_bytes()->set_value(item.rx_bytes);
    usage->mutable_rx_errors()->set_value(item.rx_errors);
    usage->mutable_tx_bytes()->set_value(item.tx_bytes);
    usage->mutable_tx_errors()->set_value(item.tx_errors);
  }
}

bool matches(const PodRecord& record, const v1::PodSandboxFilter& filter) {
  return record.id.starts_with(filter.id()) && (!filter.has_state() || filter.state().state() == state_of(record)) &&
         has_labels(record.labels, filter.label_selector());
}
bool matches(const PodRecord& record, const v1::PodSandboxStatsFilter& filter) {
  return record.id.starts_with(filter.id()) && has_labels(record.labels, filter.label_selector());
}
bool matches(const ContainerRecord& record, const v1::ContainerFilter& filter) {
  return record.id.starts_with(filter.id()) && record.pod_id.starts_with(filter.pod_sandbox_id()) &&
         (!filter.has_state() || filter.state().state() == state_of(record)) &&
         has_labels(record.labels, filter.label_selector());
}
bool matches(const ContainerRecord& record, const v1::ContainerStatsFilter& filter) {
  return record.id.starts_with(filter.id()) && record.pod_id.starts_with(filter.pod_sandbox_id()) &&
         has_labels(record.labels, filter.label_selector());
}

}  // namespace husk::cri
