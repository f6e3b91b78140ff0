// husk-netdev: moves network devices into a container's network namespace for `husk create`, which is static and has
// no libmnl. Descriptor 0 is a socket to husk, descriptor 3 the namespace.
//   husk → {"devices":[{"from":"eth1","to":"data0"}]}     one message
//   ← {"moved":["data0"]} or {"error":"…"}                 one message
//   husk → "keep"; the end of the socket instead of it, also by the death of husk, takes everything back.
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "netns/device_mover.h"
#include "oci-spec/json.h"

namespace husk::netns {
namespace {

constexpr int kChannel = 0;
constexpr int kNamespace = 3;
constexpr std::size_t kMaxRequest = 1U << 20U;

Result<std::vector<DeviceRequest>> read_requests() {
  const auto received = TRY(sys::receive_message(kChannel, kMaxRequest));
  const auto json = TRY(oci::parse_json(received.data));
  const auto list = TRY(oci::JsonReader{json}.require("devices"));
  std::vector<DeviceRequest> requests;
  for (const auto& item : TRY(list.elements())) {
    const auto from = TRY(item.require("from"));
    const auto to = TRY(item.find_string("to"));
    requests.push_back({.from = TRY(from.string()), .to = to.value_or("")});
  }
  return requests;
}

Result<DeviceMover> move_all(const UniqueFd& there) {
  const auto requests = TRY(read_requests());
  auto mover = TRY(DeviceMover::open(there));
  TRY(mover.move(requests));
  return mover;
}

Status answer(const Result<DeviceMover>& mover) {
  oci::Json json = oci::Json::object();
  if (mover.has_value()) {
    std::vector<std::string> names;
    for (const auto& device : mover.value().moved()) names.push_back(device.after.name);
    json.set("moved", oci::Json{names});
  } else {
    json.set("error", oci::Json{mover.error().to_string()});
  }
  return sys::send_message(kChannel, json.dump());
}

int run() {
  (void)sys::set_cloexec(kChannel, true);
  auto there = sys::dup_cloexec(kNamespace, kNamespace + 1);
  if (!there.has_value()) return 1;
  (void)::close(kNamespace);
  auto mover = move_all(there.value());
  const auto answered = answer(mover);
  if (!mover.has_value()) return 1;
  if (answered.has_value()) {
    const auto last = sys::receive_message(kChannel, 16);
    if (last.has_value() && last.value().data == "keep") return 0;
  }
  const auto back = mover.value().take_back();
  if (back.has_value()) return 0;
  log::warning("network devices were not moved back: " + back.error().to_string());
  return 1;
}

}  // namespace
}  // namespace husk::netns

int main() { return husk::netns::run(); }
