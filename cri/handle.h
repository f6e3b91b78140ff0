// What every handler does around its work: check the message, log a failure once, map it to a code.
#pragma once

#include "base/format.h"
#include "base/log.h"
#include "cri/from_proto.h"
#include "cri/to_grpc.h"

namespace husk::cri {

// `work` returns a husk::Status. An absent object is everyday life for kubelet: debug.
template <class Request, class Work>
grpc::Status handle(const char* call, const Request& request, Work work) {
  auto status = check_message(request);
  if (status.has_value()) status = work();
  if (!status.has_value())
    log::write(status.error().kind() == Kind::not_found ? log::Level::debug : log::Level::warning,
               format_text("{}: {}", call, status.error().to_string()));
  return to_grpc(status);
}

}  // namespace husk::cri
