#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"
#include "oci-spec/json.h"

namespace husk::cri {
namespace {

void condition(v1::RuntimeStatus* status, const char* type, const std::string& problem, const char* reason) {
  auto* into = status->add_conditions();
  into->set_type(type);
  into->set_status(problem.empty());
  if (problem.empty()) return;
  into->set_reason(reason);
  into->set_message(problem);
}

// Calls that run now, with the step they are in: tells why a pod takes long.
std::string running_json(const std::vector<JoinedCalls::Running>& pods, const std::vector<JoinedCalls::Running>& containers) {
  constexpr std::int64_t kNsPerMs = 1'000'000;
  auto list = oci::Json::array();
  for (const auto* calls : {&pods, &containers})
    for (const auto& call : *calls)
      list.push(oci::Json::object().set("what", call.key).set("stage", call.stage).set("milliseconds", call.elapsed_ns / kNsPerMs));
  return list.dump();
}

}  // namespace

grpc::Status RuntimeService::Version(grpc::ServerContext*, const v1::VersionRequest* request, v1::VersionResponse* response) {
  return handle("Version", *request, [&] {
    response->set_version("0.1.0");  // kubelet refuses anything else
    response->set_runtime_name("husk");
    response->set_runtime_version(HUSK_VERSION);
    response->set_runtime_api_version("v1");
    return ok();
  });
}

grpc::Status RuntimeService::Status(grpc::ServerContext*, const v1::StatusRequest* request, v1::StatusResponse* response) {
  return handle("Status", *request, [&] {
    condition(response->mutable_status(), "RuntimeReady", "", "");
    condition(response->mutable_status(), "NetworkReady", node_.network.not_ready_reason(), "NetworkNotReady");
    // The default handler has the empty name; kubelet wants the list sorted.
    for (const auto* name : {"", "husk"}) {
      auto* handler = response->add_runtime_handlers();
      handler->set_name(name);
      handler->mutable_features()->set_recursive_read_only_mounts(true);
      handler->mutable_features()->set_user_namespaces(false);
    }
    response->mutable_features()->set_supplemental_groups_policy(true);
    if (!request->verbose()) return ok();
    (*response->mutable_info())["config"] = config_json(node_.config);
    (*response->mutable_info())["running"] = running_json(pods_.running_calls(), containers_.running_calls());
    return ok();
  });
}

grpc::Status RuntimeService::RuntimeConfig(grpc::ServerContext*, const v1::RuntimeConfigRequest* request,
                                           v1::RuntimeConfigResponse* response) {
  return handle("RuntimeConfig", *request, [&] {
    response->mutable_linux()->set_cgroup_driver(node_.facts.systemd_cgroup ? v1::CgroupDriver::SYSTEMD : v1::CgroupDriver::CGROUPFS);
    return ok();
  });
}

// The pod CIDR of the node: the built-in network keeps the subnet of huskd.toml, as CRI-O keeps CNI's.
grpc::Status RuntimeService::UpdateRuntimeConfig(grpc::ServerContext*, const v1::UpdateRuntimeConfigRequest* request,
                                                 v1::UpdateRuntimeConfigResponse*) {
  return handle("UpdateRuntimeConfig", *request, [&] {
    const auto& cidr = request->runtime_config().network_config().pod_cidr();
    if (!cidr.empty() && cidr != node_.config.network.subnet)
      log::info(format_text("pod CIDR {} is not used: pods get addresses of network.subnet {}", cidr, node_.config.network.subnet));
    return ok();
  });
}

}  // namespace husk::cri
