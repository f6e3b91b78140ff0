// runtime.v1.RuntimeService: handlers convert, call one function, convert back. One file a group:
// info.cc, pods.cc, containers.cc, exec.cc, stats.cc, missing.cc (what is not there yet).
#pragma once

#include <cstdint>
#include <string>

#include "cri.grpc.pb.h"
#include "cri/container_service.h"
#include "cri/cpu_rates.h"
#include "cri/node.h"
#include "cri/pod_service.h"

namespace husk::cri {

namespace v1 = runtime::v1;

class RuntimeService final : public v1::RuntimeService::Service {
 public:
  RuntimeService(Node& node, PodService& pods, ContainerService& containers)
      : node_{node}, pods_{pods}, containers_{containers} {}

#define HUSK_CALL(name) \
  grpc::Status name(grpc::ServerContext* context, const v1::name##Request* request, v1::name##Response* response) override
  // info.cc
  HUSK_CALL(Version);
  HUSK_CALL(Status);
  HUSK_CALL(RuntimeConfig);
  HUSK_CALL(UpdateRuntimeConfig);
  // pods.cc
  HUSK_CALL(RunPodSandbox);
  HUSK_CALL(StopPodSandbox);
  HUSK_CALL(RemovePodSandbox);
  HUSK_CALL(PodSandboxStatus);
  HUSK_CALL(ListPodSandbox);
  HUSK_CALL(UpdatePodSandboxResources);
  // containers.cc
  HUSK_CALL(CreateContainer);
  HUSK_CALL(StartContainer);
  HUSK_CALL(StopContainer);
  HUSK_CALL(RemoveContainer);
  HUSK_CALL(ListContainers);
  HUSK_CALL(ContainerStatus);
  HUSK_CALL(UpdateContainerResources);
  // exec.cc
  HUSK_CALL(ExecSync);
  HUSK_CALL(ReopenContainerLog);
  // stats.cc
  HUSK_CALL(ContainerStats);
  HUSK_CALL(ListContainerStats);
  HUSK_CALL(PodSandboxStats);
  HUSK_CALL(ListPodSandboxStats);
  // missing.cc
  HUSK_CALL(Exec);
  HUSK_CALL(Attach);
  HUSK_CALL(PortForward);
  HUSK_CALL(CheckpointContainer);
  HUSK_CALL(CheckpointPod);
  HUSK_CALL(RestorePod);
  HUSK_CALL(ListMetricDescriptors);
  HUSK_CALL(ListPodSandboxMetrics);
#undef HUSK_CALL
#define HUSK_STREAM(name, request_type, item_type) \
  grpc::Status name(grpc::ServerContext* context, const v1::request_type* request, grpc::ServerWriter<v1::item_type>* writer) override
  HUSK_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse);
  HUSK_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse);
  HUSK_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse);
  HUSK_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse);
  HUSK_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse);
  HUSK_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse);
#undef HUSK_STREAM

 private:
  void fill_cpu(const std::string& cgroup_path, const cgroups::Stats& stats, v1::CpuUsage* into);
  void fill_stats(const ContainerRecord& record, v1::ContainerStats* into);
  husk::Status fill_stats(const PodRecord& pod, v1::PodSandboxStats* into);

  Node& node_;
  PodService& pods_;
  ContainerService& containers_;
  CpuRates cpu_rates_;
};

}  // namespace husk::cri
