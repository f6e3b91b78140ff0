// Records, images and numbers → runtime.v1 messages.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "cri.pb.h"
#include "cri/records.h"
#include "images/images.h"
#include "netns/pod_network.h"

namespace husk::cri {

void to_proto(const PodRecord& from, runtime::v1::PodSandbox* into);
void to_proto(const PodRecord& from, runtime::v1::PodSandboxStatus* into);
void to_proto(const ContainerRecord& from, runtime::v1::Container* into);
void to_proto(const ContainerRecord& from, runtime::v1::ContainerStatus* into);
void to_proto(const images::Image& from, runtime::v1::Image* into);
void to_proto(const images::FsUsage& from, runtime::v1::FilesystemUsage* into);
void attributes(const PodRecord& from, runtime::v1::PodSandboxAttributes* into);
void attributes(const ContainerRecord& from, runtime::v1::ContainerAttributes* into);
// Without usage_nano_cores, which needs two samples (CpuRates).
void to_proto(const cgroups::Stats& from, runtime::v1::CpuUsage* into);
void to_proto(const cgroups::Stats& from, runtime::v1::MemoryUsage* into);
void to_proto(const cgroups::Stats& from, runtime::v1::SwapUsage* into);
void to_proto(const cgroups::Stats& from, runtime::v1::IoUsage* into);
void to_proto(const std::vector<netns::InterfaceStats>& from, runtime::v1::NetworkUsage* into);

bool matches(const PodRecord& record, const runtime::v1::PodSandboxFilter& filter);
bool matches(const PodRecord& record, const runtime::v1::PodSandboxStatsFilter& filter);
bool matches(const ContainerRecord& record, const runtime::v1::ContainerFilter& filter);
bool matches(const ContainerRecord& record, const runtime::v1::ContainerStatsFilter& filter);

}  // namespace husk::cri
