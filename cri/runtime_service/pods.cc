#include "base/clock.h"
#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"
#include "cri/to_proto.h"
#include "oci-spec/json.h"

namespace husk::cri {
namespace {

Result<std::string> run_pod(PodService& pods, const v1::RunPodSandboxRequest& request) {
  if (!request.has_config()) return Error{Kind::invalid, "config is missing"};
  const auto config = TRY(from_proto(request.config(), request.runtime_handler()));
  return pods.run(config);
}

std::string info_json(const Node& node, const PodRecord& pod) {
  auto info = oci::Json::object();
  info.set("pid", static_cast<std::int64_t>(pod.pause_pid)).set("hostname", pod.hostname);
  info.set("networkNamespace", pod.netns_path).set("cgroupParent", pod.cgroup_parent);
  info.set("logDirectory", pod.log_directory).set("stateDirectory", node.paths(pod.id).directory);
  return info.dump();
}

}  // namespace

grpc::Status RuntimeService::RunPodSandbox(grpc::ServerContext*, const v1::RunPodSandboxRequest* request,
                                           v1::RunPodSandboxResponse* response) {
  return handle("RunPodSandbox", *request, [&]() -> husk::Status {
    response->set_pod_sandbox_id(TRY(run_pod(pods_, *request)));
    return ok();
  });
}

grpc::Status RuntimeService::StopPodSandbox(grpc::ServerContext*, const v1::StopPodSandboxRequest* request,
                                            v1::StopPodSandboxResponse*) {
  return handle("StopPodSandbox", *request, [&] { return pods_.stop(request->pod_sandbox_id()); });
}

grpc::Status RuntimeService::RemovePodSandbox(grpc::ServerContext*, const v1::RemovePodSandboxRequest* request,
                                              v1::RemovePodSandboxResponse*) {
  return handle("RemovePodSandbox", *request, [&] { return pods_.remove(request->pod_sandbox_id()); });
}

grpc::Status RuntimeService::PodSandboxStatus(grpc::ServerContext*, const v1::PodSandboxStatusRequest* request,
                                              v1::PodSandboxStatusResponse* response) {
  return handle("PodSandboxStatus", *request, [&]() -> husk::Status {
    const auto pod = TRY(node_.pods.find(request->pod_sandbox_id()));
    to_proto(*pod, response->mutable_status());
    response->set_timestamp(now_unix_ns());
    if (request->verbose()) (*response->mutable_info())["info"] = info_json(node_, *pod);
    return ok();
  });
}

grpc::Status RuntimeService::ListPodSandbox(grpc::ServerContext*, const v1::ListPodSandboxRequest* request,
                                            v1::ListPodSandboxResponse* response) {
  return handle("ListPodSandbox", *request, [&] {
    for (const auto& pod : node_.pods.list())
      if (matches(*pod, request->filter())) to_proto(*pod, response->add_items());
    return ok();
  });
}

// Tells the sum of the pod's containers; kubelet itself has written the pod's cgroup.
grpc::Status RuntimeService::UpdatePodSandboxResources(grpc::ServerContext*, const v1::UpdatePodSandboxResourcesRequest* request,
                                                       v1::UpdatePodSandboxResourcesResponse*) {
  return handle("UpdatePodSandboxResources", *request, [&]() -> husk::Status {
    TRY(node_.pods.find(request->pod_sandbox_id()));
    TRY(from_proto(request->overhead()));
    TRY(from_proto(request->resources()));
    return ok();
  });
}

}  // namespace husk::cri
