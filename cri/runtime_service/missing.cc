// Calls of the protocol that this version does not answer. Each says what is missing.
#include "cri/runtime_service/runtime_service.h"
#include "cri/to_grpc.h"

namespace husk::cri {
namespace {

constexpr const char* kStreaming = "the streaming server (SPDY and WebSocket) is missing; ExecSync works";
constexpr const char* kCheckpoint = "checkpoint and restore of containers is missing";
constexpr const char* kMetrics = "the list of metrics is missing; ListContainerStats and ListPodSandboxStats work";
constexpr const char* kLists = "streamed lists are missing; the call that answers in one message works";

}  // namespace

#define HUSK_MISSING(name, what)                                                                        \
  grpc::Status RuntimeService::name(grpc::ServerContext*, const v1::name##Request*, v1::name##Response*) { \
    return not_implemented(#name, what);                                                                \
  }
HUSK_MISSING(Exec, kStreaming)
HUSK_MISSING(Attach, kStreaming)
HUSK_MISSING(PortForward, kStreaming)
HUSK_MISSING(CheckpointContainer, kCheckpoint)
HUSK_MISSING(CheckpointPod, kCheckpoint)
HUSK_MISSING(RestorePod, kCheckpoint)
HUSK_MISSING(ListMetricDescriptors, kMetrics)
HUSK_MISSING(ListPodSandboxMetrics, kMetrics)
#undef HUSK_MISSING

#define HUSK_MISSING_STREAM(name, request_type, item_type, what)                        \
  grpc::Status RuntimeService::name(grpc::ServerContext*, const v1::request_type*,      \
                                    grpc::ServerWriter<v1::item_type>*) {               \
    return not_implemented(#name, what);                                                \
  }
HUSK_MISSING_STREAM(GetContainerEvents, GetEventsRequest, ContainerEventResponse,
                    "the stream of events is missing; kubelet relists instead")
HUSK_MISSING_STREAM(StreamPodSandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse, kLists)
HUSK_MISSING_STREAM(StreamContainers, StreamContainersRequest, StreamContainersResponse, kLists)
HUSK_MISSING_STREAM(StreamContainerStats, StreamContainerStatsRequest, StreamContainerStatsResponse, kLists)
HUSK_MISSING_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest, StreamPodSandboxStatsResponse, kLists)
HUSK_MISSING_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest, StreamPodSandboxMetricsResponse, kLists)
#undef HUSK_MISSING_STREAM

}  // namespace husk::cri
