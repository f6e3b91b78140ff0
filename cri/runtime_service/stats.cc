#include "base/clock.h"
#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"
#include "cri/to_proto.h"

namespace husk::cri {

void RuntimeService::fill_cpu(const std::string& cgroup_path, const cgroups::Stats& stats, v1::CpuUsage* into) {
  to_proto(stats, into);
  const auto rate = cpu_rates_.add(cgroup_path, now_monotonic_ns(), stats.cpu.usage_ns);
  if (rate.has_value()) into->mutable_usage_nano_cores()->set_value(*rate);
}

// A container that ended has attributes and a writable layer, but no CPU and memory any more.
void RuntimeService::fill_stats(const ContainerRecord& record, v1::ContainerStats* into) {
  attributes(record, into->mutable_attributes());
  if (record.state != ContainerState::exited) {
    if (const auto stats = node_.host.cgroup_stats(record.cgroup_path); stats.has_value()) {
      fill_cpu(record.cgroup_path, stats.value(), into->mutable_cpu());
      to_proto(stats.value(), into->mutable_memory());
      to_proto(stats.value(), into->mutable_swap());
      to_proto(stats.value(), into->mutable_io());
    }
  }
  if (const auto usage = node_.images.container_usage(record.id); usage.has_value())
    to_proto(usage.value(), into->mutable_writable_layer());
}

husk::Status RuntimeService::fill_stats(const PodRecord& pod, v1::PodSandboxStats* into) {
  attributes(pod, into->mutable_attributes());
  if (pod.released) return ok();
  auto* linux = into->mutable_linux();
  const auto stats = TRY(node_.host.cgroup_stats(pod.cgroup_parent).during("read the pod's cgroup"));
  fill_cpu(pod.cgroup_parent, stats, linux->mutable_cpu());
  to_proto(stats, linux->mutable_memory());
  to_proto(stats, linux->mutable_io());
  linux->mutable_process()->set_timestamp(stats.timestamp_ns);
  linux->mutable_process()->mutable_process_count()->set_value(stats.pids.current);
  if (!pod.netns_path.empty()) {
    const auto interfaces = TRY(node_.network.stats(pod.netns_path).during("read the pod's interfaces"));
    to_proto(interfaces, linux->mutable_network());
  }
  for (const auto& record : containers_.of_pod(pod.id))
    if (record->state == ContainerState::running) fill_stats(*record, linux->add_containers());
  return ok();
}

grpc::Status RuntimeService::ContainerStats(grpc::ServerContext*, const v1::ContainerStatsRequest* request,
                                            v1::ContainerStatsResponse* response) {
  return handle("ContainerStats", *request, [&]() -> husk::Status {
    const auto record = TRY(node_.containers.find(request->container_id()));
    fill_stats(*record, response->mutable_stats());
    return ok();
  });
}

grpc::Status RuntimeService::ListContainerStats(grpc::ServerContext*, const v1::ListContainerStatsRequest* request,
                                                v1::ListContainerStatsResponse* response) {
  return handle("ListContainerStats", *request, [&] {
    for (const auto& record : node_.containers.list())
      if (matches(*record, request->filter())) fill_stats(*record, response->add_stats());
    return ok();
  });
}

grpc::Status RuntimeService::PodSandboxStats(grpc::ServerContext*, const v1::PodSandboxStatsRequest* request,
                                             v1::PodSandboxStatsResponse* response) {
  return handle("PodSandboxStats", *request, [&]() -> husk::Status {
    const auto pod = TRY(node_.pods.find(request->pod_sandbox_id()));
    return fill_stats(*pod, response->mutable_stats());
  });
}

// A pod that goes away while the list is made is left out.
grpc::Status RuntimeService::ListPodSandboxStats(grpc::ServerContext*, const v1::ListPodSandboxStatsRequest* request,
                                                 v1::ListPodSandboxStatsResponse* response) {
  return handle("ListPodSandboxStats", *request, [&] {
    for (const auto& pod : node_.pods.list()) {
      if (!matches(*pod, request->filter())) continue;
      v1::PodSandboxStats stats;
      if (fill_stats(*pod, &stats).has_value()) response->add_stats()->Swap(&stats);
    }
    return ok();
  });
}

}  // namespace husk::cri
