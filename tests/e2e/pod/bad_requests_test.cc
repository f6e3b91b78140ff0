#include <functional>

#include "cell.h"

using namespace husk;        // NOLINT: a test
using namespace husk::test;  // NOLINT

namespace {

const std::vector<std::string>& hostile_ids() {
  static const std::vector<std::string> ids{"", ".", "..", "../../etc/passwd", "/", std::string(5000, 'a'), "a b", "\n", "%s%n", "-1", "\xc3\xa9", std::string{"a\0b", 3}};
  return ids;
}

}  // namespace

TEST_CASE("hostile ids: every call that takes one answers with one clear error, or success where CRI wants it") {
  NEED_CELL();
  Cell cell;
  const auto is_refusal = [](const grpc::Status& status) {
    return status.error_code() == grpc::StatusCode::NOT_FOUND || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
  };
  for (const auto& id : hostile_ids()) {
    CAPTURE(quote(id));
    const auto with_container = [&](auto request) { request.set_container_id(id); return request; };
    const auto with_pod = [&](auto request) { request.set_pod_sandbox_id(id); return request; };
    CHECK(is_refusal(cell.call(&Cell::Runtime::ContainerStatus, with_container(v1::ContainerStatusRequest{})).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::StartContainer, with_container(v1::StartContainerRequest{})).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::ReopenContainerLog, with_container(v1::ReopenContainerLogRequest{})).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::ContainerStats, with_container(v1::ContainerStatsRequest{})).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::UpdateContainerResources, with_container(v1::UpdateContainerResourcesRequest{})).status));
    CHECK(is_refusal(cell.exec(id, {"true"}).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::PodSandboxStatus, with_pod(v1::PodSandboxStatusRequest{})).status));
    CHECK(is_refusal(cell.call(&Cell::Runtime::PodSandboxStats, with_pod(v1::PodSandboxStatsRequest{})).status));
    CHECK(is_refusal(cell.create_container(id, cell.container_config("x", "true")).status));
    for (const auto& status : {cell.stop_container(id).status, cell.remove_container(id).status, cell.stop_pod(id).status, cell.remove_pod(id).status})
      CHECK((status.ok() || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT));
    v1::ListContainersRequest list;
    list.mutable_filter()->set_id(id);
    const auto listed = cell.call(&Cell::Runtime::ListContainers, list);
    CHECK((listed.ok() ? listed.value.containers_size() == 0 : listed.status.error_code() == grpc::StatusCode::INVALID_ARGUMENT));
    v1::ImageStatusRequest image;
    image.mutable_image()->set_image(id);
    const auto found = cell.call(&Cell::Image::ImageStatus, image);
    CHECK((found.ok() ? !found.value.has_image() : found.status.error_code() == grpc::StatusCode::INVALID_ARGUMENT));
    v1::PullImageRequest pull;
    pull.mutable_image()->set_image(id);
    const auto pulled = cell.call(&Cell::Image::PullImage, pull);
    CHECK_FALSE(pulled.ok());
    CHECK_FALSE(pulled.status.error_message().empty());
  }
  CHECK_CALL(cell.call(&Cell::Runtime::Version, v1::VersionRequest{}));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("hostile pods: one clear error each, nothing is left") {
  NEED_CELL();
  Cell cell;
  using Spoil = std::function<void(v1::PodSandboxConfig&)>;
  const auto security = [](v1::PodSandboxConfig& c) { return c.mutable_linux()->mutable_security_context(); };
  const std::vector<std::pair<const char*, Spoil>> rows{
      {"nothing at all", [](auto& c) { c.Clear(); }},
      {"name missing", [](auto& c) { c.mutable_metadata()->clear_name(); }},
      {"NUL in the name", [](auto& c) { c.mutable_metadata()->set_name(std::string{"a\0b", 3}); }},
      {"hostname", [](auto& c) { c.set_hostname("../x"); }},
      {"log directory", [](auto& c) { c.set_log_directory("var/log"); }},
      {"port", [](auto& c) { c.add_port_mappings()->set_host_port(70000); }},
      {"host address", [](auto& c) { auto* p = c.add_port_mappings(); p->set_container_port(1); p->set_host_port(1); p->set_host_ip("1.2.3.4; drop"); }},
      {"DNS server", [](auto& c) { c.mutable_dns_config()->add_servers("1.1.1.1\noptions debug"); }},
      {"cgroup parent", [](auto& c) { c.mutable_linux()->set_cgroup_parent("/../.."); }},
      {"sysctl of the host", [](auto& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.panic"] = "1"; }},
      {"sysctl that does not exist", [](auto& c) { (*c.mutable_linux()->mutable_sysctls())["net.no.such"] = "1"; }},
      {"sysctl value", [](auto& c) { (*c.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "many"; }},
      {"user", [&](auto& c) { security(c)->mutable_run_as_user()->set_value(-1); }},
      {"user namespace", [&](auto& c) { security(c)->mutable_namespace_options()->mutable_userns_options()->add_uids(); }},
      {"enumeration", [&](auto& c) { security(c)->mutable_namespace_options()->set_pid(static_cast<v1::NamespaceMode>(9)); }},
      {"seccomp profile", [&](auto& c) { security(c)->mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost); }},
      {"selinux", [&](auto& c) { security(c)->mutable_selinux_options()->set_type("x"); }},
  };
  for (const auto& [what, spoil] : rows) {
    CAPTURE(what);
    auto config = cell.pod_config();
    spoil(config);
    const auto answer = cell.run_pod(config);
    CHECK_FALSE(answer.ok());
    CHECK(answer.status.error_message().size() > 10);
    CHECK(cell.leftovers() == "");
  }
  // The name is free after all these failures.
  const auto pod = cell.pod(cell.pod_config());
  CHECK_CALL(cell.remove_pod(pod));
}

TEST_CASE("hostile containers: one clear error each, the pod is as before") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto before = cell.leftovers();
  using Spoil = std::function<void(v1::ContainerConfig&)>;
  const auto security = [](v1::ContainerConfig& c) { return c.mutable_linux()->mutable_security_context(); };
  const std::vector<std::pair<const char*, Spoil>> rows{
      {"nothing at all", [](auto& c) { c.Clear(); }},
      {"unknown image", [](auto& c) { c.mutable_image()->set_image("nginx"); }},
      {"image reference", [](auto& c) { c.mutable_image()->set_image("../../x"); }},
      {"no command", [](auto& c) { c.clear_command(); }},
      {"log path", [](auto& c) { c.set_log_path("../../../x"); }},
      {"working directory", [](auto& c) { c.set_working_dir("/bin/busybox/below-a-file"); }},
      {"mount target", [](auto& c) { auto* m = c.add_mounts(); m->set_host_path("/tmp"); m->set_container_path("relative"); }},
      {"mount target is a file in the image", [](auto& c) { auto* m = c.add_mounts(); m->set_host_path("/tmp"); m->set_container_path("/bin/busybox/x"); }},
      {"mount source", [](auto& c) { auto* m = c.add_mounts(); m->set_host_path("../x"); m->set_container_path("/x"); }},
      {"mount over /proc", [](auto& c) { auto* m = c.add_mounts(); m->set_host_path("/tmp"); m->set_container_path("/proc/self"); }},
      {"device", [](auto& c) { auto* d = c.add_devices(); d->set_host_path("/dev/no-such-device"); d->set_container_path("/dev/x"); }},
      {"device that is a file", [](auto& c) { auto* d = c.add_devices(); d->set_host_path("/etc/hostname"); d->set_container_path("/dev/x"); }},
      {"user name", [&](auto& c) { security(c)->set_run_as_username("mallory"); }},
      {"user", [&](auto& c) { security(c)->mutable_run_as_user()->set_value(1LL << 32); }},
      {"group alone", [&](auto& c) { security(c)->mutable_run_as_group()->set_value(1); }},
      {"capability", [&](auto& c) { security(c)->mutable_capabilities()->add_add_capabilities("CAP_EVERYTHING"); }},
      {"privileged", [&](auto& c) { security(c)->set_privileged(true); }},
      {"host PIDs", [&](auto& c) { security(c)->mutable_namespace_options()->set_pid(v1::NamespaceMode::NODE); }},
      {"target", [&](auto& c) { security(c)->mutable_namespace_options()->set_pid(v1::NamespaceMode::TARGET); }},
      {"apparmor", [&](auto& c) { security(c)->mutable_apparmor()->set_profile_type(v1::SecurityProfile::Localhost); }},
      {"memory", [](auto& c) { c.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(-7); }},
      {"cpuset", [](auto& c) { c.mutable_linux()->mutable_resources()->set_cpuset_cpus("99999"); }},
      {"CDI", [](auto& c) { c.add_cdi_devices()->set_name("a.b/c=d"); }},
      {"environment", [](auto& c) { c.add_envs()->set_key("A=B"); }},
  };
  for (const auto& [what, spoil] : rows) {
    CAPTURE(what);
    auto config = cell.container_config("main", "true");
    spoil(config);
    const auto answer = cell.create_container(pod, config);
    CHECK_FALSE(answer.ok());
    CHECK(answer.status.error_message().size() > 10);
    CHECK(cell.leftovers() == before);
  }
  const auto id = cell.start(pod, cell.container_config("main", "exit 0"));
  CHECK(cell.wait_exited(id).exit_code() == 0);
  CHECK_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("calls that are not there yet are UNIMPLEMENTED and say what is missing") {
  NEED_CELL();
  Cell cell;
  const auto check = [](const grpc::Status& status) {
    CHECK(status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
    CHECK(status.error_message().find("missing") != std::string::npos);
  };
  check(cell.call(&Cell::Runtime::Exec, v1::ExecRequest{}).status);
  check(cell.call(&Cell::Runtime::Attach, v1::AttachRequest{}).status);
  check(cell.call(&Cell::Runtime::PortForward, v1::PortForwardRequest{}).status);
  check(cell.call(&Cell::Runtime::CheckpointContainer, v1::CheckpointContainerRequest{}).status);
  check(cell.call(&Cell::Runtime::CheckpointPod, v1::CheckpointPodRequest{}).status);
  check(cell.call(&Cell::Runtime::RestorePod, v1::RestorePodRequest{}).status);
  check(cell.call(&Cell::Runtime::ListMetricDescriptors, v1::ListMetricDescriptorsRequest{}).status);
  check(cell.call(&Cell::Runtime::ListPodSandboxMetrics, v1::ListPodSandboxMetricsRequest{}).status);
  grpc::ClientContext context;
  v1::ContainerEventResponse event;
  auto events = cell.stub().GetContainerEvents(&context, v1::GetEventsRequest{});
  CHECK_FALSE(events->Read(&event));
  check(events->Finish());
}
