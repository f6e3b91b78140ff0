#include <functional>

#include "cri/from_proto.h"
#include "cri/to_grpc.h"
#include "cri/to_proto.h"
#include "harness/harness.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT
namespace v1 = runtime::v1;

namespace {

v1::PodSandboxConfig pod() {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("u");
  return config;
}

v1::ContainerConfig container() {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name("server");
  config.mutable_image()->set_image("busybox");
  return config;
}

}  // namespace

TEST_CASE("every text and every enumeration of a request is checked, and the error names the field") {
  v1::CreateContainerRequest request;
  auto* mount = request.mutable_config()->add_mounts();
  CHECK_OK(check_message(request));
  mount->set_host_path(std::string{"/a\0b", 4});
  CHECK(check_message(request).error().to_string() == "config.mounts[0].host_path: a NUL byte at offset 2");
  mount->set_host_path("/a");
  mount->set_propagation(static_cast<v1::MountPropagation>(17));
  CHECK(check_message(request).error().to_string().find("config.mounts[0].propagation: 17") == 0);
  mount->clear_propagation();
  (*request.mutable_sandbox_config()->mutable_labels())["k"] = std::string{"v\0", 2};
  CHECK(check_message(request).error().to_string().find("sandbox_config.labels[0].value") == 0);
}

TEST_CASE("a pod of kubelet is read completely") {
  auto from = pod();
  from.set_hostname("web");
  from.set_log_directory("/var/log/pods/x");
  from.mutable_dns_config()->add_servers("10.0.0.1");
  auto* port = from.add_port_mappings();
  port->set_protocol(v1::Protocol::UDP);
  port->set_container_port(53);
  port->set_host_port(5353);
  (*from.mutable_labels())["b"] = "2";
  (*from.mutable_labels())["a"] = "1";
  from.mutable_linux()->set_cgroup_parent("/kubepods/pod1");
  (*from.mutable_linux()->mutable_sysctls())["kernel.sem"] = "1 2 3 4";
  auto* security = from.mutable_linux()->mutable_security_context();
  security->mutable_namespace_options()->set_pid(v1::NamespaceMode::CONTAINER);
  security->mutable_run_as_user()->set_value(65535);
  security->mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
  security->mutable_namespace_options()->mutable_userns_options()->set_mode(v1::NamespaceMode::NODE);
  const auto config = from_proto(from, "husk");
  REQUIRE_OK(config);
  CHECK(config.value().labels == StringMap{{"a", "1"}, {"b", "2"}});
  CHECK(config.value().ports.at(0).protocol == "udp");
  CHECK(config.value().namespaces.pid == NamespaceMode::container);
  CHECK(config.value().run_as_user == 65535U);
  CHECK(config.value().seccomp->type == ProfileType::runtime_default);
  CHECK(config.value().runtime_handler == "husk");
  CHECK(config.value().dns->servers == std::vector<std::string>{"10.0.0.1"});
}

TEST_CASE("wrong pods: each field") {
  using Spoil = std::function<void(v1::PodSandboxConfig&)>;
  const std::vector<std::pair<const char*, Spoil>> rows{
      {"port above 65535", [](auto& c) { c.add_port_mappings()->set_container_port(65536); }},
      {"negative host port", [](auto& c) { c.add_port_mappings()->set_host_port(-1); }},
      {"host port alone", [](auto& c) { c.add_port_mappings()->set_host_port(80); }},
      {"hostname too long", [](auto& c) { c.set_hostname(std::string(65, 'x')); }},
      {"hostname with newline", [](auto& c) { c.set_hostname("a\nb"); }},
      {"relative cgroup parent", [](auto& c) { c.mutable_linux()->set_cgroup_parent("kubepods"); }},
      {"cgroup parent with ..", [](auto& c) { c.mutable_linux()->set_cgroup_parent("/a/../../b"); }},
      {"negative user", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(-1); }},
      {"user 2^32-1", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(4294967295); }},
      {"user 2^32 (CVE-2024-40635)", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(4294967296); }},
      {"group alone", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_run_as_group()->set_value(1); }},
      {"negative group", [](auto& c) { c.mutable_linux()->mutable_security_context()->add_supplemental_groups(-5); }},
      {"network CONTAINER", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(v1::NamespaceMode::CONTAINER); }},
      {"ipc TARGET", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_ipc(v1::NamespaceMode::TARGET); }},
      {"pid TARGET without target", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::NamespaceMode::TARGET); }},
      {"user namespace", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options()->add_uids()->set_length(1); }},
      {"user namespace CONTAINER", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options()->set_mode(v1::NamespaceMode::CONTAINER); }},
      {"seccomp text", [](auto& c) { c.mutable_linux()->mutable_security_context()->GetReflection()->SetString(c.mutable_linux()->mutable_security_context(), v1::LinuxSandboxSecurityContext::descriptor()->FindFieldByName("seccomp_profile_path"), "nonsense"); }},
      {"windows", [](auto& c) { c.mutable_windows(); }},
  };
  for (const auto& [what, spoil] : rows) {
    CAPTURE(what);
    auto config = pod();
    spoil(config);
    CHECK_FALSE(from_proto(config, "").has_value());
  }
}

TEST_CASE("wrong containers: each field") {
  using Spoil = std::function<void(v1::ContainerConfig&)>;
  const std::vector<std::pair<const char*, Spoil>> rows{
      {"empty env name", [](auto& c) { c.add_envs()->set_value("x"); }},
      {"env name with =", [](auto& c) { c.add_envs()->set_key("a=b"); }},
      {"env value with NUL", [](auto& c) { auto* e = c.add_envs(); e->set_key("a"); e->set_value(std::string{"\0", 1}); }},
      {"env value that is not UTF-8", [](auto& c) { auto* e = c.add_envs(); e->set_key("a"); e->set_value("\xff"); }},
      {"env value with a surrogate cut", [](auto& c) { auto* e = c.add_envs(); e->set_key("a"); e->set_value("\xc3"); }},
      {"empty container path", [](auto& c) { c.add_mounts()->set_host_path("/x"); }},
      {"id-mapped mount", [](auto& c) { auto* m = c.add_mounts(); m->set_container_path("/x"); m->add_uidmappings()->set_length(1); }},
      {"mount options", [](auto& c) { auto* m = c.add_mounts(); m->set_container_path("/x"); m->add_mount_options("noexec"); }},
      {"CDI", [](auto& c) { c.add_cdi_devices()->set_name("vendor.com/gpu=0"); }},
      {"negative shares", [](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_shares(-1); }},
      {"quota below -1", [](auto& c) { c.mutable_linux()->mutable_resources()->set_cpu_quota(-2); }},
      {"memory below -1", [](auto& c) { c.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(-2); }},
      {"oom score", [](auto& c) { c.mutable_linux()->mutable_resources()->set_oom_score_adj(1001); }},
      {"unified path", [](auto& c) { (*c.mutable_linux()->mutable_resources()->mutable_unified())["../x"] = "1"; }},
      {"relative masked path", [](auto& c) { c.mutable_linux()->mutable_security_context()->add_masked_paths("proc/kcore"); }},
      {"user 2^40", [](auto& c) { c.mutable_linux()->mutable_security_context()->mutable_run_as_user()->set_value(1LL << 40); }},
      {"windows", [](auto& c) { c.mutable_windows(); }},
  };
  for (const auto& [what, spoil] : rows) {
    CAPTURE(what);
    auto config = container();
    spoil(config);
    CHECK_FALSE(from_proto(config).has_value());
  }
  CHECK_OK(from_proto(container()));
}

TEST_CASE("credentials: the encoded pair, or the fields") {
  v1::AuthConfig auth;
  auth.set_auth("dXNlcjpwYTpzcw==");  // user:pa:ss
  const auto read = from_proto(auth);
  REQUIRE_OK(read);
  CHECK(read.value().username == "user");
  CHECK(read.value().password == "pa:ss");
  auth.set_auth("!!");
  CHECK_FALSE(from_proto(auth).has_value());
  auth.set_auth("YWJj");
  CHECK_FALSE(from_proto(auth).has_value());
}

TEST_CASE("signals: every value of the protocol and back") {
  CHECK(signal_number(v1::Signal::SIGNAL_RUNTIME_DEFAULT) == 0);
  CHECK(signal_number(v1::Signal::SIGNAL_SIGTERM) == 15);
  CHECK(signal_number(v1::Signal::SIGNAL_SIGXFSZ) == 25);
  CHECK(signal_number(v1::Signal::SIGNAL_SIGRTMIN) == 34);
  CHECK(signal_number(v1::Signal::SIGNAL_SIGRTMAXMINUS14) == 50);
  CHECK(signal_number(v1::Signal::SIGNAL_SIGRTMAX) == 64);
  for (int value = 1; value <= 65; ++value) {
    const auto number = signal_number(static_cast<v1::Signal>(value));
    CHECK(number > 0);
    CHECK(signal_number(signal_value(number)) == number);
  }
}

TEST_CASE("each kind has its status code, and long texts are cut") {
  CHECK(to_grpc(Error{Kind::not_found, "x"}).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(to_grpc(Error{Kind::timed_out, "x"}).error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(to_grpc(Error{Kind::invalid, "x"}).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(to_grpc(Error{Kind::exists, "x"}).error_code() == grpc::StatusCode::ALREADY_EXISTS);
  CHECK(to_grpc(Error{Kind::exhausted, "x"}).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(to_grpc(Error{Kind::cancelled, "x"}).error_code() == grpc::StatusCode::CANCELLED);
  CHECK(to_grpc(Error{Kind::unsupported, "x"}).error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(not_implemented("Exec", "why").error_code() == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(to_grpc(Error{Kind::internal, std::string(100'000, 'x')}).error_message().size() == 4096);
  CHECK(to_grpc(ok()).ok());
}

TEST_CASE("status of a container: what kubelet reads") {
  ContainerRecord record{.id = "c", .pod_id = "p", .name = "server", .attempt = 2};
  record.image_id = "sha256:1";
  record.labels = {{"l", "v"}};
  record.state = ContainerState::exited;
  record.exit_code = 137;
  record.reason = "OOMKilled";
  record.user = {.uid = 1, .gid = 2, .groups = {2, 3}};
  record.mounts = {{.container_path = "/dev/termination-log", .host_path = "/h"}};
  record.resources.cpu_shares = 512;
  record.stop_signal = 15;
  v1::ContainerStatus status;
  to_proto(record, &status);
  CHECK(status.metadata().attempt() == 2);
  CHECK(status.state() == v1::ContainerState::CONTAINER_EXITED);
  CHECK(status.reason() == "OOMKilled");
  CHECK(status.mounts(0).container_path() == "/dev/termination-log");
  CHECK(status.resources().linux().cpu_shares() == 512);
  CHECK(status.user().linux().supplemental_groups_size() == 2);
  CHECK(status.stop_signal() == v1::Signal::SIGNAL_SIGTERM);
  CHECK(status.labels().at("l") == "v");
}

TEST_CASE("filters: id prefix, state, labels, all together") {
  PodRecord pod_record{.id = "abc"};
  pod_record.labels = {{"a", "1"}, {"b", "2"}};
  pod_record.ready = true;
  v1::PodSandboxFilter filter;
  CHECK(matches(pod_record, filter));
  filter.set_id("ab");
  (*filter.mutable_label_selector())["a"] = "1";
  filter.mutable_state()->set_state(v1::PodSandboxState::SANDBOX_READY);
  CHECK(matches(pod_record, filter));
  (*filter.mutable_label_selector())["b"] = "3";
  CHECK_FALSE(matches(pod_record, filter));
  ContainerRecord record{.id = "x", .pod_id = "abc"};
  v1::ContainerFilter wanted;
  wanted.set_pod_sandbox_id("abc");
  CHECK(matches(record, wanted));
  wanted.mutable_state()->set_state(v1::ContainerState::CONTAINER_RUNNING);
  CHECK_FALSE(matches(record, wanted));
}

TEST_CASE("images: USER becomes uid or username; a pod that gave its addresses back shows none") {
  v1::Image image;
  to_proto(images::Image{.id = "i", .config = {.user = "1002:5"}}, &image);
  CHECK(image.uid().value() == 1002);
  image.Clear();
  to_proto(images::Image{.id = "i", .config = {.user = "www-data:group"}}, &image);
  CHECK(image.username() == "www-data");
  CHECK_FALSE(image.has_uid());
  PodRecord record{.id = "p"};
  record.addresses = {"10.0.0.1", "fd00::1"};
  v1::PodSandboxStatus status;
  to_proto(record, &status);
  CHECK(status.network().ip() == "10.0.0.1");
  CHECK(status.network().additional_ips(0).ip() == "fd00::1");
  record.released = true;
  status.Clear();
  to_proto(record, &status);
  CHECK(status.network().ip().empty());
}
