#include "net_devices.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/format.h"
#include "base/sys.h"
#include "oci-spec/json.h"
#include "rootless.h"

namespace husk::runtime {
namespace {

constexpr std::size_t kMaxAnswer = 1U << 20U;

std::string namespace_path(const NamespacePlan& plan, pid_t init) {
  for (const auto& join : plan.joins)
    if (join.type == oci::NamespaceType::network) return join.path;
  return format_text("/proc/{}/ns/net", init);
}

std::string request_text(const std::vector<oci::NetDevice>& devices) {
  oci::Json list = oci::Json::array();
  for (const auto& device : devices) {
    oci::Json item = oci::Json::object();
    item.set("from", oci::Json{device.host_name}).set("to", oci::Json{device.name});
    list.push(std::move(item));
  }
  oci::Json json = oci::Json::object();
  json.set("devices", std::move(list));
  return json.dump();
}

Result<Child> start_mover(const UniqueFd& channel, const UniqueFd& netns) {
  const auto path = TRY(sibling_program("husk-netdev"));
  return spawn({.path = path,
                .arguments = {"husk-netdev"},
                .descriptors = {{.from = channel.get(), .target = STDIN_FILENO},
                                {.from = STDERR_FILENO, .target = STDERR_FILENO},
                                {.from = netns.get(), .target = STDERR_FILENO + 1}},
                .new_session = true});  // a Ctrl-C must not stop it half-way
}

Status read_answer(const UniqueFd& channel) {
  const auto received = TRY(sys::receive_message(channel.get(), kMaxAnswer));
  if (received.end_of_file) return Error{Kind::internal, "husk-netdev ended without an answer"};
  const auto json = TRY(oci::parse_json(received.data));
  const auto error = TRY(oci::JsonReader{json}.find_string("error"));
  if (error.has_value()) return Error{Kind::invalid, *error};
  return ok();
}

}  // namespace

Result<NetDevices> NetDevices::move(const std::vector<oci::NetDevice>& devices, const NamespacePlan& plan, pid_t init) {
  if (devices.empty()) return NetDevices{};
  if (is_rootless())
    return Error{Kind::denied, "\"/linux/netDevices\": only root of the host can move network devices"}.hint("remove it");
  const auto netns = TRY(sys::openat(AT_FDCWD, namespace_path(plan, init), O_RDONLY | O_NOCTTY | O_NONBLOCK));
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  auto mover = TRY(start_mover(pair.second, netns).during("\"/linux/netDevices\""));
  pair.second.reset();
  NetDevices moved{std::move(pair.first), std::move(mover)};
  TRY(sys::send_message(moved.channel_.get(), request_text(devices)).during("\"/linux/netDevices\""));
  TRY(read_answer(moved.channel_).during("\"/linux/netDevices\""));
  return moved;
}

NetDevices::~NetDevices() {
  if (!channel_.is_open()) return;
  channel_.reset();
  (void)mover_.wait();  // it takes them back; the namespace lives as long as it does
}

void NetDevices::keep() {
  if (!channel_.is_open()) return;
  (void)sys::send_message(channel_.get(), "keep");  // if it is gone, so is whoever would take them back
  channel_.reset();
  (void)mover_.wait();
}

}  // namespace husk::runtime
