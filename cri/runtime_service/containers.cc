#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"
#include "cri/to_proto.h"
#include "oci-spec/json.h"

namespace husk::cri {
namespace {

Result<std::string> create_container(ContainerService& containers, const v1::CreateContainerRequest& request) {
  if (!request.has_config()) return Error{Kind::invalid, "config is missing"};
  const auto config = TRY(from_proto(request.config()));
  return containers.create(request.pod_sandbox_id(), config);
}

std::string info_json(const Node& node, const ContainerRecord& record) {
  auto info = oci::Json::object();
  info.set("pid", static_cast<std::int64_t>(record.pid)).set("sandboxID", record.pod_id);
  info.set("rootfs", record.rootfs).set("cgroup", record.cgroup_path);
  info.set("bundle", node.paths(record.pod_id).bundles + "/" + record.id);
  return info.dump();
}

}  // namespace

grpc::Status RuntimeService::CreateContainer(grpc::ServerContext*, const v1::CreateContainerRequest* request,
                                             v1::CreateContainerResponse* response) {
  return handle("CreateContainer", *request, [&]() -> husk::Status {
    response->set_container_id(TRY(create_container(containers_, *request)));
    return ok();
  });
}

grpc::Status RuntimeService::StartContainer(grpc::ServerContext*, const v1::StartContainerRequest* request,
                                            v1::StartContainerResponse*) {
  return handle("StartContainer", *request, [&] { return containers_.start(request->container_id()); });
}

grpc::Status RuntimeService::StopContainer(grpc::ServerContext*, const v1::StopContainerRequest* request,
                                           v1::StopContainerResponse*) {
  return handle("StopContainer", *request, [&] { return containers_.stop(request->container_id(), request->timeout()); });
}

grpc::Status RuntimeService::RemoveContainer(grpc::ServerContext*, const v1::RemoveContainerRequest* request,
                                             v1::RemoveContainerResponse*) {
  return handle("RemoveContainer", *request, [&] { return containers_.remove(request->container_id()); });
}

grpc::Status RuntimeService::ListContainers(grpc::ServerContext*, const v1::ListContainersRequest* request,
                                            v1::ListContainersResponse* response) {
  return handle("ListContainers", *request, [&] {
    for (const auto& record : node_.containers.list())
      if (matches(*record, request->filter())) to_proto(*record, response->add_containers());
    return ok();
  });
}

grpc::Status RuntimeService::ContainerStatus(grpc::ServerContext*, const v1::ContainerStatusRequest* request,
                                             v1::ContainerStatusResponse* response) {
  return handle("ContainerStatus", *request, [&]() -> husk::Status {
    const auto record = TRY(node_.containers.find(request->container_id()));
    to_proto(*record, response->mutable_status());
    if (request->verbose()) (*response->mutable_info())["info"] = info_json(node_, *record);
    return ok();
  });
}

grpc::Status RuntimeService::UpdateContainerResources(grpc::ServerContext*, const v1::UpdateContainerResourcesRequest* request,
                                                      v1::UpdateContainerResourcesResponse*) {
  return handle("UpdateContainerResources", *request, [&]() -> husk::Status {
    const auto changes = TRY(from_proto(request->linux()));
    return containers_.update_resources(request->container_id(), changes);
  });
}

}  // namespace husk::cri
