// linux.netDevices: interfaces of this namespace go into a container's, with their names, addresses, MTU and MAC,
// and come back as they were when the create fails. Read `move_devices` first.
// Source: runtime-spec config-linux.md#network-devices; man 7 rtnetlink.
#pragma once

#include <linux/if_addr.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netns/link.h"
#include "netns/netlink/socket.h"

namespace husk::netns {

struct DeviceRequest {
  std::string from;
  std::string to;  // "%d" in it: the kernel picks a free number; "" = as it is called
};

// An address as the kernel told it, to be given again on another interface.
struct SavedAddress {
  ifaddrmsg header{};
  std::vector<std::pair<std::uint16_t, std::vector<std::uint8_t>>> attributes;
  std::uint32_t flags = 0;
  std::string label;  // IPv4: begins with the name of the interface
  bool is_permanent() const { return (flags & IFA_F_PERMANENT) != 0; }
  bool is_global() const { return header.ifa_scope == 0; }      // RT_SCOPE_UNIVERSE
  bool is_made_by_kernel() const;                               // IPv6 link-local: comes when the interface goes up
};
// Pure. Flags and lifetimes stay; what belongs to the old place (interface, label) changes.
netlink::Message restore_request(const SavedAddress& address, int link_index, const std::string& old_name, const std::string& new_name);

struct MovedDevice {
  Link before;  // as it was here
  std::vector<SavedAddress> addresses;
  Link after;   // as it is there
};

class DeviceMover {
 public:
  // `there`: the container's network namespace.
  static Result<DeviceMover> open(const UniqueFd& there);
  // All or none. Errors: not_found, exists (a name is taken there).
  Status move(const std::vector<DeviceRequest>& requests);
  const std::vector<MovedDevice>& moved() const { return moved_; }
  // Back to name, addresses and state; routes other than those of the addresses are lost with the move.
  Status take_back();

 private:
  DeviceMover(UniqueFd here, int there, netlink::Socket here_socket, netlink::Socket there_socket)
      : here_{std::move(here)}, there_{there}, here_socket_{std::move(here_socket)}, there_socket_{std::move(there_socket)} {}
  Status move_one(const DeviceRequest& request);
  Status settle(MovedDevice& device);
  Status take_back_one(const MovedDevice& device);

  UniqueFd here_;
  int there_;
  netlink::Socket here_socket_;
  netlink::Socket there_socket_;
  std::vector<MovedDevice> moved_;
};

}  // namespace husk::netns
