// What an address becomes on an interface in another namespace.
#include "netns/device_mover.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "harness/harness.h"

using namespace husk;
using netns::SavedAddress;

namespace {

std::vector<std::uint8_t> attributes_of(netns::netlink::Message& message) {
  const auto& bytes = message.finish(1);
  return {bytes.begin() + NLMSG_HDRLEN + sizeof(ifaddrmsg), bytes.end()};
}

SavedAddress address(std::uint32_t flags, const std::string& label) {
  SavedAddress made;
  made.header = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_flags = static_cast<std::uint8_t>(flags), .ifa_scope = RT_SCOPE_UNIVERSE, .ifa_index = 3};
  made.attributes = {{IFA_LOCAL, {192, 0, 2, 9}}};
  made.flags = flags;
  made.label = label;
  return made;
}

}  // namespace

TEST_CASE("an address that moves keeps flags that were given, and loses those that the kernel sets") {
  auto message = netns::restore_request(address(IFA_F_PERMANENT | IFA_F_SECONDARY | IFA_F_NOPREFIXROUTE, "eth0"), 7, "eth0", "data");
  const auto bytes = attributes_of(message);
  CHECK(netns::netlink::find_attribute(bytes, IFA_FLAGS)->as<std::uint32_t>() == IFA_F_NOPREFIXROUTE);
  CHECK(netns::netlink::find_attribute(bytes, IFA_LOCAL)->payload.size() == 4);
  CHECK_FALSE(netns::netlink::find_attribute(bytes, IFA_LABEL).has_value());
}

TEST_CASE("a label follows the name of its interface while it fits") {
  auto follows = netns::restore_request(address(IFA_F_PERMANENT, "eth0:web"), 7, "eth0", "data");
  const auto bytes = attributes_of(follows);
  CHECK(netns::netlink::find_attribute(bytes, IFA_LABEL)->text() == "data:web");
  auto too_long = netns::restore_request(address(IFA_F_PERMANENT, "eth0:web-server"), 7, "eth0", "longer-name");
  const auto rest = attributes_of(too_long);
  CHECK_FALSE(netns::netlink::find_attribute(rest, IFA_LABEL).has_value());
}
