#include "netns/host_side.h"

#include <cerrno>

#include <algorithm>

#include "base/format.h"
#include "base/rollback.h"
#include "base/text.h"
#include "netns/address.h"
#include "netns/sysctl.h"

namespace husk::netns {
namespace {

// The MTU of the way out: a pod that sent more would depend on path MTU discovery. 0: there is none.
Result<std::uint32_t> find_uplink_mtu(netlink::Socket& route) {
  const auto routes = TRY(list_routes(route, Family::ipv4));
  const Route* best = nullptr;
  for (const auto& candidate : routes)
    if (!candidate.destination.has_value() && (best == nullptr || candidate.metric < best->metric)) best = &candidate;
  if (best == nullptr) return 0U;
  const auto links = TRY(list_links(route));
  for (const auto& link : links)
    if (link.index == best->link_index) return link.mtu;
  return 0U;
}

Error not_a_bridge(const Link& link) {
  return Error{Kind::exists, format_text("interface {} exists and is not a bridge but {}", quote(link.name),
                                         link.kind.empty() ? "a device" : quote(link.kind))}
      .hint("choose another bridge name for the pod network");
}

}  // namespace

Status HostSide::check_overlap(netlink::Socket& route) const {
  std::optional<std::vector<Link>> links;
  for (const auto& subnet : config_.subnets()) {
    const auto routes = TRY(list_routes(route, subnet.network.family));
    for (const auto& candidate : routes) {
      if (!candidate.destination.has_value() || candidate.destination->prefix == 0) continue;
      if (!candidate.destination->overlaps(subnet)) continue;
      if (!links.has_value()) links = TRY(list_links(route));
      const auto link = std::find_if(links->begin(), links->end(),
                                     [&](const Link& known) { return known.index == candidate.link_index; });
      const std::string name = link == links->end() ? "?" : link->name;
      if (name == config_.bridge) continue;
      return Error{Kind::invalid, format_text("pod subnet {} overlaps the host's route to {} through {}", subnet.text(),
                                              candidate.destination->text(), quote(name))}
          .hint("choose another subnet for the pod network");
    }
  }
  return ok();
}

Status HostSide::ensure_host_sysctls() const {
  TRY(ensure_sysctl("net.ipv4.ip_forward", "1"));
  if (config_.subnet6.has_value()) TRY(ensure_sysctl("net.ipv6.conf.all.forwarding", "1"));
  return ok();
}

Status HostSide::equip_bridge(netlink::Socket& route, const Link& bridge) const {
  for (const auto& subnet : config_.subnets())
    TRY(add_address(route, bridge.index, subnet.at(kGatewayOffset), subnet.prefix));
  if (!bridge.up) TRY(set_link_up(route, bridge.index, bridge.name));
  // For 127.0.0.1 as a host port's address; rules in Ruleset keep pods away from the host's loopback.
  TRY(ensure_sysctl(format_text("net/ipv4/conf/{}/route_localnet", bridge.name), "1"));
  // A pod must not be able to give the host a router (CVE-2020-10749).
  const auto accept_ra = format_text("net/ipv6/conf/{}/accept_ra", bridge.name);
  if (has_sysctl(accept_ra)) TRY(ensure_sysctl(accept_ra, "0"));
  return ok();
}

Result<Link> HostSide::make_bridge(netlink::Socket& route) const {
  TRY(check_overlap(route));
  const auto mtu = config_.mtu != 0 ? config_.mtu : TRY(find_uplink_mtu(route));
  const auto mac = mac_of(config_.subnet.at(kGatewayOffset));
  auto made = create_bridge(route, config_.bridge, mac, mtu);
  // EEXIST: another process was faster.
  if (!made.has_value() && made.error().os_errno() != EEXIST) return std::move(made).error();
  auto bridge = TRY(find_link(route, config_.bridge));
  if (!bridge.has_value())
    return Error{Kind::busy, format_text("bridge {} vanished while it was set up", quote(config_.bridge))};
  return std::move(*bridge);
}

Result<Link> HostSide::ensure_bridge(netlink::Socket& route) {
  const std::lock_guard guard{mutex_};
  const auto step = format_text("prepare bridge {}", quote(config_.bridge));
  Rollback undo;
  auto bridge = TRY(find_link(route, config_.bridge).during(step));
  if (!bridge.has_value()) {
    undo.on_failure([&] { (void)delete_link(route, config_.bridge); });  // the first error counts
    bridge = TRY(make_bridge(route).during(step));
    equipped_index_ = 0;
  }
  if (bridge->kind != "bridge") {
    undo.commit();  // not ours
    return not_a_bridge(*bridge).during(step);
  }
  TRY(ensure_host_sysctls().during(step));
  if (bridge->index != equipped_index_ || !bridge->up) {
    TRY(check_overlap(route).during(step));
    TRY(equip_bridge(route, *bridge).during(step));
    equipped_index_ = bridge->index;
  }
  undo.commit();
  return std::move(*bridge);
}

Status HostSide::remove_bridge(netlink::Socket& route) {
  const std::lock_guard guard{mutex_};
  const auto bridge = TRY(find_link(route, config_.bridge));
  if (!bridge.has_value() || bridge->kind != "bridge") return ok();
  equipped_index_ = 0;
  return delete_link(route, config_.bridge);
}

}  // namespace husk::netns
