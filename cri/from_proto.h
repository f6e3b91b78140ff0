// runtime.v1 messages → our model. Every value is checked here; inside, nothing is checked again.
#pragma once

#include <google/protobuf/message.h>

#include "base/result.h"
#include "cri.pb.h"
#include "cri/model.h"
#include "images/images.h"

namespace husk::cri {

// For every request: no NUL in any text, no number that its enumeration does not have.
// The error names the field: "config.mounts[2].host_path".
Status check_message(const google::protobuf::Message& message);

Result<PodConfig> from_proto(const runtime::v1::PodSandboxConfig& config, const std::string& runtime_handler);
Result<ContainerConfig> from_proto(const runtime::v1::ContainerConfig& config);
Result<Resources> from_proto(const runtime::v1::LinuxContainerResources& resources);
Result<images::Credentials> from_proto(const runtime::v1::AuthConfig& auth);
int signal_number(runtime::v1::Signal signal);  // 0 = none
runtime::v1::Signal signal_value(int number);

}  // namespace husk::cri
