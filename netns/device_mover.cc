#include "netns/device_mover.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "netns/namespace_thread.h"

namespace husk::netns {
namespace {

using netlink::Message;

// What an address is; its label and flags are told apart from these.
constexpr std::array<std::uint16_t, 7> kKeptAttributes{IFA_ADDRESS, IFA_LOCAL,     IFA_BROADCAST, IFA_ANYCAST,
                                                       IFA_CACHEINFO, IFA_RT_PRIORITY, IFA_PROTO};
// The kernel sets these by itself.
constexpr std::uint32_t kStateFlags =
    IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_SECONDARY | IFA_F_STABLE_PRIVACY;

SavedAddress parse_address(const netlink::Reply& reply) {
  SavedAddress address{.header = reply.fixed<ifaddrmsg>(), .attributes = {}, .flags = 0, .label = {}};
  address.flags = address.header.ifa_flags;
  for (const auto& attribute : netlink::parse_attributes(reply.attributes<ifaddrmsg>())) {
    if (attribute.type == IFA_FLAGS) address.flags = attribute.as<std::uint32_t>().value_or(address.flags);
    if (attribute.type == IFA_LABEL) address.label = attribute.text();
    if (std::ranges::find(kKeptAttributes, attribute.type) != kKeptAttributes.end())
      address.attributes.emplace_back(attribute.type, std::vector<std::uint8_t>{attribute.payload.begin(), attribute.payload.end()});
  }
  return address;
}

Result<std::vector<SavedAddress>> addresses_of(netlink::Socket& socket, int link_index) {
  Message message{RTM_GETADDR, NLM_F_DUMP, "RTM_GETADDR of all interfaces"};
  message.append(ifaddrmsg{});
  const auto replies = TRY(socket.dump(message));
  std::vector<SavedAddress> found;
  for (const auto& reply : replies) {
    if (reply.type != RTM_NEWADDR) continue;
    auto address = parse_address(reply);
    if (static_cast<int>(address.header.ifa_index) == link_index) found.push_back(std::move(address));
  }
  return found;
}

Status add_address(netlink::Socket& socket, const SavedAddress& address, const Link& on, const std::string& old_name) {
  auto done = socket.apply(restore_request(address, on.index, old_name, on.name));
  if (!done.has_value() && done.error().os_errno() == EEXIST) return ok();
  if (!done.has_value() && (done.error().os_errno() == EACCES || done.error().os_errno() == EPERM))
    return std::move(done).hint("the namespace has IPv6 switched off (net.ipv6.conf.*.disable_ipv6)");
  return done;
}

// The old index where it is free, so that scripts and counters keep it; else the next one.
int free_index(const std::vector<Link>& links, int wanted) {
  int highest = 0;
  bool taken = false;
  for (const auto& link : links) {
    highest = std::max(highest, link.index);
    taken = taken || link.index == wanted;
  }
  return taken ? highest + 1 : wanted;
}

const Link* find_index(const std::vector<Link>& links, int index) {
  const auto found = std::ranges::find(links, index, &Link::index);
  return found == links.end() ? nullptr : &*found;
}

// One request: the name counts for the conflict check of the move, and for the change of name after it.
// Source: kernel net/core/rtnetlink.c, do_setlink.
Message move_request(const Link& link, int namespace_fd, const std::string& name, int new_index) {
  Message message{RTM_NEWLINK, NLM_F_ACK, format_text("RTM_NEWLINK {} into another network namespace as {}", quote(link.name), quote(name))};
  ifinfomsg header{};
  header.ifi_index = link.index;
  message.append(header).attr(IFLA_NET_NS_FD, namespace_fd).attr(IFLA_IFNAME, name).attr(IFLA_NEW_IFINDEX, new_index);
  return message;
}

Error explain_move(Error error) {
  if (error.os_errno() == EINVAL || error.os_errno() == EOPNOTSUPP)
    return std::move(error).hint("some interfaces belong to their namespace for ever: bridges, lo, tunnel fallbacks, wireless ones");
  return error;
}

Status attach_to_master(netlink::Socket& socket, const Link& link, int index) {
  if (link.master == 0) return ok();
  Message message{RTM_SETLINK, NLM_F_ACK, format_text("RTM_SETLINK {} master", quote(link.name))};
  ifinfomsg header{};
  header.ifi_index = index;
  message.append(header).attr(IFLA_MASTER, link.master);
  return socket.apply(std::move(message));
}

}  // namespace

bool SavedAddress::is_made_by_kernel() const { return header.ifa_family == AF_INET6 && header.ifa_scope == RT_SCOPE_LINK; }

Message restore_request(const SavedAddress& address, int link_index, const std::string& old_name, const std::string& new_name) {
  Message message{RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, format_text("RTM_NEWADDR on {}", quote(new_name))};
  ifaddrmsg header = address.header;
  header.ifa_index = static_cast<std::uint32_t>(link_index);
  const auto flags = address.flags & ~kStateFlags;
  header.ifa_flags = static_cast<std::uint8_t>(flags & 0xff);
  message.append(header);
  for (const auto& [type, bytes] : address.attributes) message.bytes(type, bytes);
  message.attr(IFA_FLAGS, flags);
  // "eth0:web" follows the name; without one the kernel writes the name.
  const bool follows = address.label.size() > old_name.size() && address.label.starts_with(old_name) && address.label[old_name.size()] == ':';
  const auto label = follows ? new_name + address.label.substr(old_name.size()) : std::string{};
  if (follows && label.size() <= kMaxInterfaceName) message.attr(IFA_LABEL, label);
  return message;
}

Result<DeviceMover> DeviceMover::open(const UniqueFd& there) {
  auto here = TRY(sys::openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY));
  const auto own = TRY(sys::fstat(here.get()));
  const auto other = TRY(sys::fstat(there.get()));
  if (own.st_dev == other.st_dev && own.st_ino == other.st_ino)
    return Error{Kind::invalid, "the container's network namespace is the host's: there is nowhere to move a device to"};
  auto here_socket = TRY(netlink::Socket::open(NETLINK_ROUTE));
  auto there_socket = TRY(open_route_socket(there));
  return DeviceMover{std::move(here), there.get(), std::move(here_socket), std::move(there_socket)};
}

Status DeviceMover::settle(MovedDevice& device) {
  for (const auto& address : device.addresses)
    if (address.is_permanent() && address.is_global())
      TRY(add_address(there_socket_, address, device.after, device.before.name));
  return set_link_up(there_socket_, device.after.index, device.after.name);
}

Status DeviceMover::move_one(const DeviceRequest& request) {
  const auto name = request.to.empty() ? request.from : request.to;
  auto link = TRY(find_link(here_socket_, request.from));
  if (!link.has_value()) return Error{Kind::not_found, "there is no such network device on the host"}.hint(
        "the keys of netDevices name devices that ip link shows in husk's own network namespace");
  const auto links = TRY(list_links(there_socket_));
  const bool taken = std::ranges::any_of(links, [&](const Link& other) { return other.name == name; });
  if (taken)
    return Error{Kind::exists, format_text("the container's network namespace has a device {} already", quote(name))}.hint(
        "give another name, or one with %d for which the kernel picks a number");
  MovedDevice device{.before = *std::move(link), .addresses = {}, .after = {}};
  device.addresses = TRY(addresses_of(here_socket_, device.before.index));
  const int index = free_index(links, device.before.index);
  auto done = here_socket_.apply(move_request(device.before, there_, name, index));
  if (!done.has_value()) return explain_move(std::move(done).error());
  device.after = device.before;  // found by its index, should the next step fail
  device.after.index = index;
  moved_.push_back(std::move(device));
  const auto now = TRY(list_links(there_socket_));
  const auto* found = find_index(now, index);
  if (found == nullptr) return Error{Kind::not_found, "the device vanished while it was moved"};
  moved_.back().after = *found;
  return settle(moved_.back());
}

Status DeviceMover::move(const std::vector<DeviceRequest>& requests) {
  for (const auto& request : requests) {
    auto done = move_one(request);
    if (done.has_value()) continue;
    auto back = take_back();
    auto error = std::move(done).error().during(quote(request.from));
    if (back.has_value()) return error;
    return std::move(error).hint(format_text("and not all devices could be moved back: {}", back.error().to_string()));
  }
  return ok();
}

Status DeviceMover::take_back_one(const MovedDevice& device) {
  const auto links = TRY(list_links(here_socket_));
  const int index = free_index(links, device.before.index);
  TRY(there_socket_.apply(move_request(device.after, here_.get(), device.before.name, index)));
  TRY(attach_to_master(here_socket_, device.before, index));
  auto on = device.before;
  on.index = index;
  for (const auto& address : device.addresses)
    if (address.is_permanent() && !address.is_made_by_kernel()) TRY(add_address(here_socket_, address, on, device.before.name));
  return device.before.up ? set_link_up(here_socket_, index, device.before.name) : ok();
}

Status DeviceMover::take_back() {
  Status all = ok();
  while (!moved_.empty()) {
    auto done = take_back_one(moved_.back());
    if (!done.has_value() && all.has_value()) all = std::move(done).during(quote(moved_.back().before.name));
    moved_.pop_back();
  }
  return all;
}

}  // namespace husk::netns
