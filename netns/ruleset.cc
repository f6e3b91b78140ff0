#include "netns/ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::netns {
namespace {

using nft::Expression;
using nft::Message;
using nft::word;
using Part = std::vector<Expression>;

constexpr const char* kAnyAddress = "ports_any";
constexpr const char* kOneAddress = "ports_address";
constexpr const char* kHostPorts = "hostports";

// What differs between IPv4 and IPv6.
struct FamilyTraits {
  std::uint8_t nfproto;
  std::uint32_t source_offset;       // in the network header
  std::uint32_t destination_offset;
  std::uint32_t size;                // of an address
  std::uint32_t nft_type;
  std::size_t rules;                 // that `family_rules` makes
};
constexpr FamilyTraits kIpv4{NFPROTO_IPV4, 12, 16, 4, nft::kTypeIpv4, 9};
constexpr FamilyTraits kIpv6{NFPROTO_IPV6, 8, 24, 16, nft::kTypeIpv6, 6};

const FamilyTraits& traits_of(Family family) { return family == Family::ipv4 ? kIpv4 : kIpv6; }

template <class Number>
std::vector<std::uint8_t> number_bytes(Number value) {
  std::vector<std::uint8_t> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

enum class End : std::uint8_t { source, destination };

Part match_network(const FamilyTraits& family, End end, const Subnet& subnet, bool inside) {
  const auto offset = end == End::source ? family.source_offset : family.destination_offset;
  std::vector<std::uint8_t> bits(family.size);
  for (unsigned bit = 0; bit < subnet.prefix; ++bit)
    bits[bit / 8] = static_cast<std::uint8_t>(bits[bit / 8] | (0x80U >> (bit % 8)));
  const auto network = subnet.network.octets();
  return {nft::load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, family.size, word(0)), nft::mask(word(0), bits),
          inside ? nft::is_equal(word(0), network) : nft::is_different(word(0), network)};
}

Part match_interface(std::uint32_t meta_key, const std::string& name) {
  std::vector<std::uint8_t> padded{name.begin(), name.end()};
  padded.resize(16);  // IFNAMSIZ: the whole register is compared, so that no prefix matches
  return {nft::load_meta(meta_key, word(0)), nft::is_equal(word(0), padded)};
}

// fib daddr type local: only what is addressed to this host (CVE-2025-67499: else a pod could catch
// connections to others).
Part match_local_destination() {
  return {nft::load_destination_type(word(0)), nft::is_equal(word(0), number_bytes(std::uint32_t{RTN_LOCAL}))};
}

Part match_translated() {
  const auto flag = number_bytes(std::uint32_t{IPS_DST_NAT});
  return {nft::load_conntrack_status(word(0)), nft::mask(word(0), flag),
          nft::is_different(word(0), number_bytes(std::uint32_t{0}))};
}

constexpr std::uint32_t kDataWord = 8;  // the key takes at most six words

Part translate_any(const FamilyTraits& family) {
  return {nft::load_meta(NFT_META_L4PROTO, word(0)),
          nft::load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, word(1)),
          nft::look_up(kAnyAddress, word(0), word(kDataWord)),
          nft::dnat(family.nfproto, word(kDataWord), word(kDataWord + family.size / 4))};
}

Part translate_one(const FamilyTraits& family) {
  return {nft::load_meta(NFT_META_L4PROTO, word(0)),
          nft::load_payload(NFT_PAYLOAD_NETWORK_HEADER, family.destination_offset, family.size, word(1)),
          nft::load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, word(1 + family.size / 4)),
          nft::look_up(kOneAddress, word(0), word(kDataWord)),
          nft::dnat(family.nfproto, word(kDataWord), word(kDataWord + family.size / 4))};
}

// route_localnet lets the host send from 127.0.0.1 to pods; without this it would also let pods reach what
// listens on 127.0.0.1 only (CVE-2020-8558). Before conntrack, so that answers are still addressed to the bridge.
std::vector<Message> guard_rules(const nft::Table& table, const std::string& bridge) {
  const Subnet loopback{.network = IpAddress::from_octets(Family::ipv4, std::vector<std::uint8_t>{127, 0, 0, 0}),
                        .prefix = 8};
  const auto from_bridge = match_interface(NFT_META_IIFNAME, bridge);
  return {nft::add_rule(table, "guard", "daddr 127.0.0.0/8 drop",
                        {from_bridge, match_network(kIpv4, End::destination, loopback, true), {nft::drop()}}),
          nft::add_rule(table, "guard", "saddr 127.0.0.0/8 drop",
                        {from_bridge, match_network(kIpv4, End::source, loopback, true), {nft::drop()}}),
          nft::add_rule(table, "postrouting", "saddr 127.0.0.0/8 masquerade",
                        {match_interface(NFT_META_OIFNAME, bridge),
                         match_network(kIpv4, End::source, loopback, true),
                         {nft::masquerade()}})};
}

std::vector<Message> family_rules(const nft::Table& table, const Subnet& subnet, const std::string& bridge) {
  const auto& family = traits_of(subnet.network.family);
  std::vector<Message> rules{
      nft::add_rule(table, "prerouting", "fib daddr type local jump hostports",
                    {match_local_destination(), {nft::jump(kHostPorts)}}),
      nft::add_rule(table, "output", "fib daddr type local jump hostports",
                    {match_local_destination(), {nft::jump(kHostPorts)}}),
      nft::add_rule(table, kHostPorts, "dnat by address and port", {translate_one(family)}),
      nft::add_rule(table, kHostPorts, "dnat by port", {translate_any(family)}),
      nft::add_rule(table, "postrouting", "pods to elsewhere masquerade",
                    {match_network(family, End::source, subnet, true),
                     match_network(family, End::destination, subnet, false),
                     {nft::masquerade()}}),
      // A pod that reaches a pod through a host port: the answer must come back through the host, not straight
      // over the bridge.
      nft::add_rule(table, "postrouting", "pod to host port of a pod masquerade",
                    {match_interface(NFT_META_OIFNAME, bridge), match_translated(),
                     match_network(family, End::source, subnet, true),
                     {nft::masquerade()}})};
  if (subnet.network.family == Family::ipv4)
    for (auto& rule : guard_rules(table, bridge)) rules.push_back(std::move(rule));
  return rules;
}

std::vector<Message> family_chains(const nft::Table& table, bool with_guard) {
  std::vector<Message> chains{
      nft::add_chain(table, kHostPorts, std::nullopt),
      nft::add_chain(table, "prerouting",
                     nft::Hook{.type = "nat", .number = NF_INET_PRE_ROUTING, .priority = NF_IP_PRI_NAT_DST}),
      nft::add_chain(table, "output",
                     nft::Hook{.type = "nat", .number = NF_INET_LOCAL_OUT, .priority = NF_IP_PRI_NAT_DST}),
      nft::add_chain(table, "postrouting",
                     nft::Hook{.type = "nat", .number = NF_INET_POST_ROUTING, .priority = NF_IP_PRI_NAT_SRC})};
  if (with_guard)
    chains.push_back(nft::add_chain(
        table, "guard", nft::Hook{.type = "filter", .number = NF_INET_PRE_ROUTING, .priority = NF_IP_PRI_RAW}));
  return chains;
}

std::vector<Message> family_maps(const nft::Table& table, const FamilyTraits& family) {
  const std::vector<std::uint32_t> target{family.nft_type, nft::kTypePort};
  return {nft::add_map(table,
                       {.name = kAnyAddress,
                        .key_types = {nft::kTypeProtocol, nft::kTypePort},
                        .key_size = 8,
                        .data_types = target,
                        .data_size = family.size + 4},
                       1),
          nft::add_map(table,
                       {.name = kOneAddress,
                        .key_types = {nft::kTypeProtocol, family.nft_type, nft::kTypePort},
                        .key_size = 8 + family.size,
                        .data_types = target,
                        .data_size = family.size + 4},
                       2)};
}

// Fields of a concatenation are padded with zeros to four bytes.
void put_padded(std::vector<std::uint8_t>& key, std::span<const std::uint8_t> field) {
  key.insert(key.end(), field.begin(), field.end());
  key.resize((key.size() + 3) / 4 * 4);
}

void put_port(std::vector<std::uint8_t>& key, std::uint16_t port) { put_padded(key, number_bytes(htons(port))); }

struct Elements {
  std::vector<nft::Element> any;
  std::vector<nft::Element> one;
};

void collect(const PublishedPorts& pod, Family family, Elements& into) {
  const auto address = std::find_if(pod.addresses.begin(), pod.addresses.end(),
                                    [&](const IpAddress& candidate) { return candidate.family == family; });
  if (address == pod.addresses.end()) return;
  for (const auto& port : pod.ports) {
    if (!port.applies_to(family)) continue;
    nft::Element element;
    put_padded(element.key, number_bytes(port.protocol));
    if (port.host_address.has_value()) put_padded(element.key, port.host_address->octets());
    put_port(element.key, port.host_port);
    put_padded(element.data, address->octets());
    put_port(element.data, port.container_port);
    (port.host_address.has_value() ? into.one : into.any).push_back(std::move(element));
  }
}

nft::Table table_of(const CheckedConfig& config, const Subnet& subnet) {
  return {.family = traits_of(subnet.network.family).nfproto, .name = config.table};
}

void append(std::vector<Message>& messages, std::vector<Message> more) {
  for (auto& message : more) messages.push_back(std::move(message));
}

}  // namespace

std::vector<Message> Ruleset::plan(const std::vector<PublishedPorts>& pods) const {
  std::vector<Message> messages;
  for (const auto& subnet : config_.subnets()) {
    const auto table = table_of(config_, subnet);
    const auto family = subnet.network.family;
    messages.push_back(nft::add_table(table));  // so that there is one to delete
    messages.push_back(nft::delete_table(table));
    messages.push_back(nft::add_table(table));
    append(messages, family_chains(table, family == Family::ipv4));
    append(messages, family_maps(table, traits_of(family)));
    append(messages, family_rules(table, subnet, config_.bridge));
    Elements elements;
    for (const auto& pod : pods) collect(pod, family, elements);
    append(messages, nft::add_elements(table, kAnyAddress, elements.any));
    append(messages, nft::add_elements(table, kOneAddress, elements.one));
  }
  return nft::make_batch(std::move(messages));
}

Status Ruleset::install(netlink::Socket& socket, const std::vector<PublishedPorts>& pods) const {
  auto done = socket.apply(plan(pods)).during(format_text("install nftables table {}", quote(config_.table)));
  if (!done.has_value() && done.error().kind() == Kind::unsupported)
    return std::move(done).hint("the kernel needs nf_tables with nat, masq, fib and ct (CONFIG_NFT_NAT, …)");
  return done;
}

Result<bool> Ruleset::is_complete(netlink::Socket& socket) const {
  for (const auto& subnet : config_.subnets()) {
    const auto rules = socket.dump(nft::list_rules(table_of(config_, subnet)));
    if (!rules.has_value()) {
      if (rules.error().os_errno() == ENOENT) return false;
      // Changes of others interrupted every attempt. They are no reason to doubt our own rules.
      if (rules.error().os_errno() == EINTR) continue;
      return Error{rules.error()};
    }
    if (rules.value().size() != traits_of(subnet.network.family).rules) return false;
  }
  return true;
}

Status Ruleset::add(netlink::Socket& socket, const PublishedPorts& pod) const {
  std::vector<Message> messages;
  for (const auto& subnet : config_.subnets()) {
    Elements elements;
    collect(pod, subnet.network.family, elements);
    append(messages, nft::add_elements(table_of(config_, subnet), kAnyAddress, elements.any));
    append(messages, nft::add_elements(table_of(config_, subnet), kOneAddress, elements.one));
  }
  if (messages.empty()) return ok();
  return socket.apply(nft::make_batch(std::move(messages)));
}

Status Ruleset::remove(netlink::Socket& socket, const std::vector<PublishedPorts>& pods) const {
  std::vector<Message> messages;
  for (const auto& subnet : config_.subnets()) {
    Elements elements;
    for (const auto& pod : pods) collect(pod, subnet.network.family, elements);
    append(messages, nft::delete_elements(table_of(config_, subnet), kAnyAddress, elements.any));
    append(messages, nft::delete_elements(table_of(config_, subnet), kOneAddress, elements.one));
  }
  if (messages.empty()) return ok();
  return socket.apply(nft::make_batch(std::move(messages)));
}

Status Ruleset::uninstall(netlink::Socket& socket) const {
  std::vector<Message> messages;
  for (const auto& subnet : config_.subnets()) {
    messages.push_back(nft::add_table(table_of(config_, subnet)));
    messages.push_back(nft::delete_table(table_of(config_, subnet)));
  }
  return socket.apply(nft::make_batch(std::move(messages)))
      .during(format_text("remove nftables table {}", quote(config_.table)));
}

}  // namespace husk::netns
