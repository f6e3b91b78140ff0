#include "cri/records.h"

#include "oci-spec/json.h"

namespace husk::cri {
namespace {

using oci::Json;
using oci::JsonReader;

constexpr int kVersion = 1;

Json map_json(const StringMap& map) {
  Json object = Json::object();
  for (const auto& [key, value] : map) object.append(key, value);
  return object;
}

Json numbers_json(const std::vector<std::uint32_t>& numbers) {
  Json array = Json::array();
  for (const auto number : numbers) array.push(number);
  return array;
}

Result<std::string> text_of(const JsonReader& reader, std::string_view key) {
  const auto found = TRY(reader.find_string(key));
  return found.value_or("");
}
Result<bool> flag_of(const JsonReader& reader, std::string_view key) {
  const auto found = TRY(reader.find_boolean(key));
  return found.value_or(false);
}
Result<std::int64_t> number_of(const JsonReader& reader, std::string_view key) {
  const auto found = TRY(reader.find_int64(key));
  return found.value_or(0);
}
Result<std::uint32_t> number32_of(const JsonReader& reader, std::string_view key) {
  const auto found = TRY(reader.find_uint32(key));
  return found.value_or(0);
}
Result<std::vector<std::uint32_t>> numbers_of(const JsonReader& reader, std::string_view key) {
  std::vector<std::uint32_t> numbers;
  const auto member = reader.find(key);
  if (!member.has_value()) return numbers;
  const auto elements = TRY(member->elements());
  for (const auto& element : elements) numbers.push_back(TRY(element.uint32()));
  return numbers;
}
template <class Enum>
Result<Enum> enum_of(const JsonReader& reader, std::string_view key, Enum highest) {
  const auto value = TRY(number_of(reader, key));
  if (value < 0 || value > static_cast<std::int64_t>(highest))
    return reader.error(std::string{key} + " is out of range");
  return static_cast<Enum>(value);
}

Json namespaces_json(const NamespaceOptions& options) {
  Json object = Json::object();
  object.set("network", static_cast<int>(options.network));
  object.set("pid", static_cast<int>(options.pid));
  object.set("ipc", static_cast<int>(options.ipc));
  object.set("target", options.target_id);
  return object;
}
Result<NamespaceOptions> namespaces_of(const JsonReader& reader) {
  NamespaceOptions options;
  const auto member = reader.find("namespaces");
  if (!member.has_value()) return options;
  options.network = TRY(enum_of(*member, "network", NamespaceMode::target));
  options.pid = TRY(enum_of(*member, "pid", NamespaceMode::target));
  options.ipc = TRY(enum_of(*member, "ipc", NamespaceMode::target));
  options.target_id = TRY(text_of(*member, "target"));
  return options;
}

Json resources_json(const Resources& from) {
  Json object = Json::object();
  object.set("cpuPeriod", from.cpu_period);
  object.set("cpuQuota", from.cpu_quota);
  object.set("cpuShares", from.cpu_shares);
  object.set("memoryLimit", from.memory_limit);
  object.set("memorySwapLimit", from.memory_swap_limit);
  object.set("oomScoreAdj", from.oom_score_adj);
  object.set("cpusetCpus", from.cpuset_cpus);
  object.set("cpusetMems", from.cpuset_mems);
  object.set("unified", map_json(from.unified));
  Json pages = Json::array();
  for (const auto& item : from.hugepage_limits)
    pages.push(Json::object().set("pageSize", item.page_size).set("limit", item.limit));
  object.set("hugepages", std::move(pages));
  return object;
}
Result<Resources> resources_of(const JsonReader& record) {
  Resources into;
  const auto reader = record.find("resources");
  if (!reader.has_value()) return into;
  into.cpu_period = TRY(number_of(*reader, "cpuPeriod"));
  into.cpu_quota = TRY(number_of(*reader, "cpuQuota"));
  into.cpu_shares = TRY(number_of(*reader, "cpuShares"));
  into.memory_limit = TRY(number_of(*reader, "memoryLimit"));
  into.memory_swap_limit = TRY(number_of(*reader, "memorySwapLimit"));
  into.oom_score_adj = TRY(number_of(*reader, "oomScoreAdj"));
  into.cpuset_cpus = TRY(text_of(*reader, "cpusetCpus"));
  into.cpuset_mems = TRY(text_of(*reader, "cpusetMems"));
  into.unified = TRY(reader->find_string_map("unified"));
  const auto pages = reader->find("hugepages");
  if (!pages.has_value()) return into;
  const auto elements = TRY(pages->elements());
  for (const auto& element : elements) {
    oci::HugepageLimit limit;
    limit.page_size = TRY(text_of(element, "pageSize"));
    const auto bytes = TRY(element.find_uint64("limit"));
    limit.limit = bytes.value_or(0);
    into.hugepage_limits.push_back(std::move(limit));
  }
  return into;
}

Json mount_json(const MountRequest& mount) {
  Json object = Json::object();
  object.set("containerPath", mount.container_path);
  object.set("hostPath", mount.host_path);
  object.set("readonly", mount.readonly);
  object.set("selinuxRelabel", mount.selinux_relabel);
  object.set("recursiveReadOnly", mount.recursive_read_only);
  object.set("propagation", static_cast<int>(mount.propagation));
  object.set("image", mount.image);
  object.set("imageSubPath", mount.image_sub_path);
  object.set("imageRef", mount.image_ref);
  return object;
}
Result<MountRequest> mount_of(const JsonReader& reader) {
  MountRequest mount;
  mount.container_path = TRY(text_of(reader, "containerPath"));
  mount.host_path = TRY(text_of(reader, "hostPath"));
  mount.readonly = TRY(flag_of(reader, "readonly"));
  mount.selinux_relabel = TRY(flag_of(reader, "selinuxRelabel"));
  mount.recursive_read_only = TRY(flag_of(reader, "recursiveReadOnly"));
  mount.propagation = TRY(enum_of(reader, "propagation", Propagation::bidirectional));
  mount.image = TRY(text_of(reader, "image"));
  mount.image_sub_path = TRY(text_of(reader, "imageSubPath"));
  mount.image_ref = TRY(text_of(reader, "imageRef"));
  return mount;
}

Result<Json> open_record(std::string_view text) {
  auto json = TRY(oci::parse_json(text));
  const JsonReader reader{json};
  const auto version = TRY(number_of(reader, "version"));
  if (version != kVersion)
    return Error{Kind::unsupported, "record has version " + std::to_string(version) + ", this huskd reads version " +
                                        std::to_string(kVersion)};
  return json;
}

void put_container_identity(Json& json, const ContainerRecord& record) {
  json.set("id", record.id);
  json.set("podId", record.pod_id);
  json.set("name", record.name);
  json.set("attempt", record.attempt);
  json.set("fingerprint", record.fingerprint);
  json.set("image", record.image);
  json.set("imageName", record.image_name);
  json.set("userSpecifiedImage", record.user_specified_image);
  json.set("imageRef", record.image_ref);
  json.set("imageId", record.image_id);
  json.set("labels", map_json(record.labels));
  json.set("annotations", map_json(record.annotations));
  json.set("logPath", record.log_path);
}

Status get_container_identity(const JsonReader& reader, ContainerRecord& record) {
  record.id = TRY(text_of(reader, "id"));
  record.pod_id = TRY(text_of(reader, "podId"));
  record.name = TRY(text_of(reader, "name"));
  record.attempt = TRY(number32_of(reader, "attempt"));
  record.fingerprint = TRY(text_of(reader, "fingerprint"));
  record.image = TRY(text_of(reader, "image"));
  record.image_name = TRY(text_of(reader, "imageName"));
  record.user_specified_image = TRY(text_of(reader, "userSpecifiedImage"));
  record.image_ref = TRY(text_of(reader, "imageRef"));
  record.image_id = TRY(text_of(reader, "imageId"));
  record.labels = TRY(reader.find_string_map("labels"));
  record.annotations = TRY(reader.find_string_map("annotations"));
  record.log_path = TRY(text_of(reader, "logPath"));
  return ok();
}

void put_container_life(Json& json, const ContainerRecord& record) {
  json.set("state", static_cast<int>(record.state));
  json.set("createdAt", record.created_at_ns);
  json.set("startedAt", record.started_at_ns);
  json.set("finishedAt", record.finished_at_ns);
  json.set("exitCode", static_cast<std::int64_t>(record.exit_code));
  json.set("reason", record.reason);
  json.set("message", record.message);
  json.set("pid", static_cast<std::int64_t>(record.pid));
}

Status get_container_life(const JsonReader& reader, ContainerRecord& record) {
  record.state = TRY(enum_of(reader, "state", ContainerState::unknown));
  record.created_at_ns = TRY(number_of(reader, "createdAt"));
  record.started_at_ns = TRY(number_of(reader, "startedAt"));
  record.finished_at_ns = TRY(number_of(reader, "finishedAt"));
  record.exit_code = static_cast<std::int32_t>(TRY(number_of(reader, "exitCode")));
  record.reason = TRY(text_of(reader, "reason"));
  record.message = TRY(text_of(reader, "message"));
  record.pid = static_cast<std::int32_t>(TRY(number_of(reader, "pid")));
  return ok();
}

}  // namespace

std::string encode(const PodRecord& record) {
  Json json = Json::object();
  json.set("version", kVersion);
  json.set("id", record.id);
  json.set("name", record.metadata.name);
  json.set("uid", record.metadata.uid);
  json.set("namespace", record.metadata.namespace_name);
  json.set("attempt", record.metadata.attempt);
  json.set("fingerprint", record.fingerprint);
  json.set("runtimeHandler", record.runtime_handler);
  json.set("hostname", record.hostname);
  json.set("logDirectory", record.log_directory);
  json.set("cgroupParent", record.cgroup_parent);
  json.set("ownsCgroupParent", record.owns_cgroup_parent);
  json.set("privileged", record.privileged);
  json.set("labels", map_json(record.labels));
  json.set("annotations", map_json(record.annotations));
  json.set("namespaces", namespaces_json(record.namespaces));
  json.set("netns", record.netns_path);
  json.set("addresses", record.addresses);
  json.set("createdAt", record.created_at_ns);
  json.set("pausePid", static_cast<std::int64_t>(record.pause_pid));
  json.set("pauseCgroup", record.pause_cgroup);
  json.set("ready", record.ready);
  json.set("released", record.released);
  return json.dump(1) + "\n";
}

Result<PodRecord> decode_pod_record(std::string_view text) {
  const auto json = TRY(open_record(text));
  const JsonReader reader{json};
  PodRecord record;
  record.id = TRY(text_of(reader, "id"));
  record.metadata.name = TRY(text_of(reader, "name"));
  record.metadata.uid = TRY(text_of(reader, "uid"));
  record.metadata.namespace_name = TRY(text_of(reader, "namespace"));
  record.metadata.attempt = TRY(number32_of(reader, "attempt"));
  record.fingerprint = TRY(text_of(reader, "fingerprint"));
  record.runtime_handler = TRY(text_of(reader, "runtimeHandler"));
  record.hostname = TRY(text_of(reader, "hostname"));
  record.log_directory = TRY(text_of(reader, "logDirectory"));
  record.cgroup_parent = TRY(text_of(reader, "cgroupParent"));
  record.owns_cgroup_parent = TRY(flag_of(reader, "ownsCgroupParent"));
  record.privileged = TRY(flag_of(reader, "privileged"));
  record.labels = TRY(reader.find_string_map("labels"));
  record.annotations = TRY(reader.find_string_map("annotations"));
  record.namespaces = TRY(namespaces_of(reader));
  record.netns_path = TRY(text_of(reader, "netns"));
  record.addresses = TRY(reader.find_strings("addresses"));
  record.created_at_ns = TRY(number_of(reader, "createdAt"));
  record.pause_pid = static_cast<std::int32_t>(TRY(number_of(reader, "pausePid")));
  record.pause_cgroup = TRY(text_of(reader, "pauseCgroup"));
  record.ready = TRY(flag_of(reader, "ready"));
  record.released = TRY(flag_of(reader, "released"));
  return record;
}

std::string encode(const ContainerRecord& record) {
  Json json = Json::object();
  json.set("version", kVersion);
  put_container_identity(json, record);
  Json mounts = Json::array();
  for (const auto& mount : record.mounts) mounts.push(mount_json(mount));
  json.set("mounts", std::move(mounts));
  json.set("imageVolumes", record.image_volumes);
  json.set("resources", resources_json(record.resources));
  json.set("uid", record.user.uid);
  json.set("gid", record.user.gid);
  json.set("groups", numbers_json(record.user.groups));
  json.set("stopSignal", record.stop_signal);
  json.set("tty", record.tty);
  json.set("rootfs", record.rootfs);
  json.set("cgroupPath", record.cgroup_path);
  put_container_life(json, record);
  return json.dump(1) + "\n";
}

Result<ContainerRecord> decode_container_record(std::string_view text) {
  const auto json = TRY(open_record(text));
  const JsonReader reader{json};
  ContainerRecord record;
  TRY(get_container_identity(reader, record));
  if (const auto mounts = reader.find("mounts"); mounts.has_value()) {
    const auto elements = TRY(mounts->elements());
    for (const auto& element : elements) record.mounts.push_back(TRY(mount_of(element)));
  }
  record.image_volumes = TRY(reader.find_strings("imageVolumes"));
  record.resources = TRY(resources_of(reader));
  record.user.uid = TRY(number32_of(reader, "uid"));
  record.user.gid = TRY(number32_of(reader, "gid"));
  record.user.groups = TRY(numbers_of(reader, "groups"));
  record.stop_signal = static_cast<int>(TRY(number_of(reader, "stopSignal")));
  record.tty = TRY(flag_of(reader, "tty"));
  record.rootfs = TRY(text_of(reader, "rootfs"));
  record.cgroup_path = TRY(text_of(reader, "cgroupPath"));
  TRY(get_container_life(reader, record));
  return record;
}

}  // namespace husk::cri
