#include "netns/bridge_network.h"

#include <linux/netfilter.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "base/format.h"
#include "base/ids.h"
#include "base/rollback.h"
#include "base/text.h"
#include "netns/address.h"
#include "netns/conntrack.h"
#include "netns/namespace_thread.h"
#include "netns/sysctl.h"

namespace husk::netns {
namespace {

constexpr const char* kPodInterface = "eth0";
constexpr std::string_view kAliasPrefix = "husk pod ";

std::string describe(const std::string& pod_id, const std::string& name) {
  return name.empty() ? format_text("pod {}", quote(pod_id)) : format_text("pod {} ({})", quote(name), pod_id);
}

Error port_taken(const CheckedPort& port, const Record& owner) {
  return Error{Kind::exists, format_text("host port {} is already published by {}", port.text(),
                                         describe(owner.pod_id, owner.name))}
      .hint("use another host port or remove that pod");
}

// The maps are not what we left: somebody flushed them, or a writer died half-way.
bool is_repairable(const Error& error) {
  return error.os_errno() == ENOENT || error.os_errno() == EEXIST || error.os_errno() == EBUSY;
}

void forget_udp_flows_of(netlink::Socket& netfilter, const PublishedPorts& pod) {
  for (const auto& port : pod.ports) {
    if (port.protocol != IPPROTO_UDP) continue;
    // Best effort: old flows end by themselves after 30 to 120 s, and older kernels lack the filter.
    for (const std::uint8_t family : {NFPROTO_IPV4, NFPROTO_IPV6})
      (void)forget_udp_flows(netfilter, family, port.host_port);
  }
}

// Before eth0 is born, so that it inherits: no router may be given to a pod by its neighbours.
Status refuse_router_advertisements() {
  constexpr std::string_view kKey = "net.ipv6.conf.default.accept_ra";
  return has_sysctl(kKey) ? ensure_sysctl(kKey, "0") : ok();
}

}  // namespace

Turns::Turn::~Turn() {
  const std::lock_guard guard{turns_.mutex_};
  turns_.taken_.erase(id_);
  turns_.freed_.notify_all();
}

Turns::Turn Turns::take(const std::string& id) {
  std::unique_lock guard{mutex_};
  freed_.wait(guard, [&] { return !taken_.contains(id); });
  taken_.insert(id);
  return {*this, id};
}

bool Turns::is_taken(const std::string& id) {
  const std::lock_guard guard{mutex_};
  return taken_.contains(id);
}

BridgeNetwork::BridgeNetwork(CheckedConfig config, std::unique_ptr<RecordStore> store, Checkpoint checkpoint)
    : config_{std::move(config)},
      store_{std::move(store)},
      checkpoint_{std::move(checkpoint)},
      host_{config_},
      ruleset_{config_} {}

Result<std::unique_ptr<BridgeNetwork>> BridgeNetwork::create(const BridgeConfig& config, Checkpoint checkpoint) {
  constexpr std::string_view kStep = "configure pod network";
  auto checked = TRY(parse_bridge_config(config).during(kStep));
  auto route = TRY(netlink::Socket::open(NETLINK_ROUTE).during(kStep));
  TRY(HostSide{checked}.check_overlap(route).during(kStep));
  auto store = TRY(RecordStore::open(checked.state_dir).during(kStep));
  return std::unique_ptr<BridgeNetwork>{
      new BridgeNetwork{std::move(checked), std::move(store), std::move(checkpoint)}};
}

Result<BridgeNetwork::Sockets> BridgeNetwork::open_sockets() {
  auto route = TRY(netlink::Socket::open(NETLINK_ROUTE));
  auto netfilter = TRY(netlink::Socket::open(NETLINK_NETFILTER));
  return Sockets{.route = std::move(route), .netfilter = std::move(netfilter)};
}

PublishedPorts BridgeNetwork::published(const Record& record) const {
  auto ports = parse_ports(record.ports, config_.subnet6.has_value());
  // A record of another configuration may name IPv6 ports: nothing is published for it.
  return {.addresses = config_.pod_addresses(record.offset),
          .ports = ports.has_value() ? std::move(ports).value() : std::vector<CheckedPort>{}};
}

Attachment BridgeNetwork::attachment(const Record& record) const {
  Attachment result{.interface_name = kPodInterface, .host_interface = host_interface_name(record.pod_id)};
  for (const auto& address : config_.pod_addresses(record.offset)) result.addresses.push_back(address.text());
  return result;
}

Status BridgeNetwork::reinstall_rules(Sockets& sockets, bool only_when_incomplete) {
  const auto locked = TRY(store_->lock());
  if (only_when_incomplete) {
    const bool complete = TRY(ruleset_.is_complete(sockets.netfilter));
    if (complete) return ok();  // another thread was faster
  }
  std::vector<PublishedPorts> pods;
  for (const auto& [id, record] : locked.records()) pods.push_back(published(record));
  return ruleset_.install(sockets.netfilter, pods);
}

Result<Link> BridgeNetwork::ensure_host(Sockets& sockets) {
  auto bridge = TRY(host_.ensure_bridge(sockets.route));
  const bool complete = TRY(ruleset_.is_complete(sockets.netfilter));
  if (!complete) TRY(reinstall_rules(sockets, true));
  return bridge;
}

std::string BridgeNetwork::not_ready_reason() {
  auto sockets = open_sockets();
  if (!sockets.has_value()) return sockets.error().to_string();
  const auto bridge = ensure_host(sockets.value());
  return bridge.has_value() ? std::string{} : bridge.error().to_string();
}

Result<BridgeNetwork::Reservation> BridgeNetwork::reserve(const PodRequest& request,
                                                          const std::vector<CheckedPort>& ports) {
  auto locked = TRY(store_->lock());
  if (const auto* known = locked.find(request.pod_id)) return Reservation{.record = *known, .is_new = false};
  if (!ports.empty()) {
    for (const auto& [id, other] : locked.records())
      for (const auto& taken : published(other).ports)
        for (const auto& port : ports)
          if (port.collides_with(taken)) return port_taken(port, other);
  }
  const auto offset = locked.find_free_offset(kFirstPodOffset, config_.last_offset());
  if (!offset.has_value())
    return Error{Kind::exhausted, format_text("no address is free in {}", config_.subnet.text())}.hint(
        format_text("{} pods have one; remove pods or configure a larger subnet", locked.records().size()));
  Record record{.pod_id = request.pod_id,
                .name = request.name,
                .uid = request.uid,
                .netns_path = request.netns_path,
                .offset = *offset,
                .ports = request.ports};
  TRY(locked.write(record));
  return Reservation{.record = std::move(record), .is_new = true};
}

Status BridgeNetwork::make_pair(Sockets& sockets, const Record& record, const Link& bridge, const UniqueFd& netns) {
  VethPlan plan{.host_name = host_interface_name(record.pod_id),
                .bridge_index = bridge.index,
                .peer_namespace_fd = netns.get(),
                .peer_name = kPodInterface,
                .peer_mac = mac_of(config_.subnet.at(record.offset)),
                .mtu = bridge.mtu,
                .alias = format_text("{}{}", kAliasPrefix, record.pod_id),
                .quiet_ipv6 = has_sysctl("net.ipv6.conf.default.accept_ra")};
  auto made = sockets.route.apply(veth_requests(plan));
  if (made.has_value() || made.error().os_errno() != EEXIST) return made;
  // Two names were asked for. The host's is made from the pod id, so that whoever has it is a leftover of ours
  // (the state directory was wiped); the pod's belongs to somebody else.
  const auto leftover = TRY(find_link(sockets.route, plan.host_name));
  if (!leftover.has_value())
    return std::move(made).hint(format_text("the namespace already has an interface \"{}\"", kPodInterface));
  TRY(delete_link(sockets.route, plan.host_name));
  return sockets.route.apply(veth_requests(plan));
}

Status BridgeNetwork::configure_pod(netlink::Socket& pod, const Record& record) const {
  const auto link = TRY(find_link(pod, kPodInterface));
  if (!link.has_value()) return Error{Kind::not_found, format_text("interface \"{}\" vanished", kPodInterface)};
  std::vector<netlink::Message> requests;
  for (const auto& subnet : config_.subnets())
    requests.push_back(add_address_request(link->index, subnet.at(record.offset), subnet.prefix));
  TRY(pod.apply(std::move(requests)));
  TRY(set_link_up(pod, link->index, kPodInterface));
  std::vector<netlink::Message> routes;
  for (const auto& subnet : config_.subnets())
    routes.push_back(add_default_route_request(link->index, subnet.at(kGatewayOffset)));
  return pod.apply(std::move(routes));
}

Status BridgeNetwork::publish(Sockets& sockets, const Record& record) {
  const auto pod = published(record);
  if (pod.ports.empty()) return ok();
  auto done = ruleset_.add(sockets.netfilter, pod);
  if (!done.has_value() && is_repairable(done.error())) done = reinstall_rules(sockets, false);
  if (done.has_value()) forget_udp_flows_of(sockets.netfilter, pod);
  return done;
}

Status BridgeNetwork::connect(Sockets& sockets, const Record& record, const Link& bridge, bool is_new) {
  TRY(checkpoint(Step::open_namespace));
  const auto netns = TRY(open_namespace(record.netns_path));
  auto pod = TRY(open_route_socket(netns, refuse_router_advertisements));
  TRY(checkpoint(Step::link));
  if (!is_new) TRY(delete_link(sockets.route, host_interface_name(record.pod_id)));
  TRY(make_pair(sockets, record, bridge, netns).during("create its interface"));
  TRY(checkpoint(Step::address));
  TRY(configure_pod(pod, record).during("configure its interface"));
  TRY(checkpoint(Step::ports));
  TRY(publish(sockets, record).during("publish its ports"));
  return checkpoint(Step::finish);
}

Result<bool> BridgeNetwork::is_connected(Sockets& sockets, const Record& record, const Link& bridge) const {
  const auto host_end = TRY(find_link(sockets.route, host_interface_name(record.pod_id)));
  if (!host_end.has_value() || host_end->master != bridge.index || !host_end->up) return false;
  const auto netns = TRY(open_namespace(record.netns_path));
  auto pod = TRY(open_route_socket(netns));
  const auto link = TRY(find_link(pod, kPodInterface));
  if (!link.has_value() || !link->up) return false;
  const auto addresses = TRY(list_addresses(pod, link->index));
  const auto wanted = config_.pod_addresses(record.offset);
  return std::all_of(wanted.begin(), wanted.end(), [&](const IpAddress& address) {
    return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
  });
}

Result<Attachment> BridgeNetwork::set_up(const PodRequest& request) {
  const auto step = format_text("connect {}", describe(request.pod_id, request.name));
  TRY(PodId::parse(request.pod_id).during(step));
  const auto ports = TRY(parse_ports(request.ports, config_.subnet6.has_value()).during(step));
  const auto turn = turns_.take(request.pod_id);
  auto sockets = TRY(open_sockets().during(step));
  TRY(checkpoint(Step::host).during(step));
  const auto bridge = TRY(ensure_host(sockets).during(step));
  TRY(checkpoint(Step::record).during(step));
  const auto reservation = TRY(reserve(request, ports).during(step));
  const Record& record = reservation.record;
  Rollback undo;
  undo.on_failure([&] { (void)disconnect(sockets, record.pod_id); });  // garbage collection gets the rest
  if (!reservation.is_new) {
    const bool connected = TRY(is_connected(sockets, record, bridge).during(step));
    if (connected) {
      TRY(publish(sockets, record).during(step));
      undo.commit();
      return attachment(record);
    }
  }
  TRY(connect(sockets, record, bridge, reservation.is_new).during(step));
  undo.commit();
  return attachment(record);
}

Status BridgeNetwork::disconnect(Sockets& sockets, const std::string& pod_id) {
  return disconnecting_.run(pod_id, [&](const std::vector<std::string>& ids) { return disconnect_all(sockets, ids); });
}

Status BridgeNetwork::disconnect_all(Sockets& sockets, const std::vector<std::string>& pod_ids) {
  // The host's end takes the pod's with it. When the namespace is gone, both are.
  std::vector<std::string> names;
  names.reserve(pod_ids.size());
  for (const auto& id : pod_ids) names.push_back(host_interface_name(id));
  TRY(delete_links(sockets.route, names));
  // Ports and records go under one lock, the records last: an `install` by somebody else cannot bring the ports
  // back in between.
  auto locked = TRY(store_->lock());
  std::vector<PublishedPorts> leaving;
  std::vector<PublishedPorts> staying;
  for (const auto& [id, record] : locked.records()) {
    const bool leaves = std::find(pod_ids.begin(), pod_ids.end(), id) != pod_ids.end();
    if (!record.ports.empty()) (leaves ? leaving : staying).push_back(published(record));
  }
  auto removed = ruleset_.remove(sockets.netfilter, leaving);
  if (!removed.has_value() && is_repairable(removed.error())) removed = ruleset_.install(sockets.netfilter, staying);
  TRY(std::move(removed));
  for (const auto& pod : leaving) forget_udp_flows_of(sockets.netfilter, pod);
  for (const auto& id : pod_ids) TRY(locked.remove(id));
  return ok();
}

Status BridgeNetwork::tear_down(const std::string& pod_id) {
  const auto step = format_text("disconnect pod {}", quote(pod_id));
  TRY(PodId::parse(pod_id).during(step));
  const auto turn = turns_.take(pod_id);
  auto sockets = TRY(open_sockets().during(step));
  return disconnect(sockets, pod_id).during(step);
}

Status BridgeNetwork::collect_garbage(const std::vector<std::string>& living) {
  constexpr std::string_view kStep = "collect garbage of the pod network";
  const std::set<std::string> kept{living.begin(), living.end()};
  std::vector<std::string> dead;
  {
    const auto locked = TRY(store_->lock().during(kStep));
    for (const auto& [id, record] : locked.records())
      if (!kept.contains(id) && !turns_.is_taken(id)) dead.push_back(id);
  }
  for (const auto& id : store_->broken()) dead.push_back(id);
  auto sockets = TRY(open_sockets().during(kStep));
  if (!dead.empty()) TRY(disconnect_all(sockets, dead).during(kStep));

  const auto links = TRY(list_links(sockets.route).during(kStep));
  {
    // A link is made after its record and removed before it: under the lock a link without one is an orphan.
    const auto locked = TRY(store_->lock().during(kStep));
    for (const auto& link : links)
      if (link.alias.starts_with(kAliasPrefix) && locked.find(link.alias.substr(kAliasPrefix.size())) == nullptr)
        TRY(delete_link(sockets.route, link.name).during(kStep));
  }
  return reinstall_rules(sockets, false).during(kStep);
}

Result<std::vector<InterfaceStats>> BridgeNetwork::stats(const std::string& netns_path) {
  const auto netns = TRY(open_namespace(netns_path));
  auto pod = TRY(open_route_socket(netns));
  const auto links = TRY(list_links(pod));
  std::vector<InterfaceStats> found;
  for (const auto& link : links)
    if (link.name != "lo") found.push_back(link.stats);
  return found;
}

Status BridgeNetwork::remove_when_unused() {
  constexpr std::string_view kStep = "remove the pod network";
  auto sockets = TRY(open_sockets().during(kStep));
  const auto locked = TRY(store_->lock().during(kStep));
  if (!locked.records().empty()) return ok();
  TRY(ruleset_.uninstall(sockets.netfilter).during(kStep));
  return host_.remove_bridge(sockets.route).during(kStep);
}

}  // namespace husk::netns
