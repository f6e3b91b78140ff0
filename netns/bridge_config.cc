#include "netns/bridge_config.h"

#include <netinet/in.h>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::netns {
namespace {

constexpr unsigned kFewestHostBits = 2;  // network, gateway, one pod, broadcast
constexpr unsigned kMostHostBits = 24;   // 10.0.0.0/8; keeps offsets small
constexpr std::size_t kMaxTableName = 64;
constexpr std::size_t kMaxPorts = 4096;  // of one pod: its record stays below RecordStore's limit

struct Protocol {
  std::string_view name;
  std::uint8_t number;
};
constexpr std::array kProtocols{Protocol{"tcp", IPPROTO_TCP}, Protocol{"udp", IPPROTO_UDP},
                                Protocol{"sctp", IPPROTO_SCTP}};

// Source: kernel dev_valid_name(), and "%" which asks the kernel to number the name.
Status check_interface_name(const std::string& name) {
  const auto wrong = [&](std::string_view why) {
    return Error{Kind::invalid, format_text("bridge name {} {}", quote(name), why)};
  };
  if (name.empty()) return wrong("is empty");
  if (name.size() > kMaxInterfaceName)
    return wrong(format_text("is longer than {} bytes", kMaxInterfaceName)).hint("interface names are short in Linux");
  if (name == "." || name == "..") return wrong("is not allowed");
  for (const char c : name)
    if (c == '/' || c == ':' || c == '%' || c <= ' ' || c > '~') return wrong("has a character that is not allowed");
  return ok();
}

Status check_table_name(const std::string& name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool good = !name.empty() && name.size() <= kMaxTableName && is_letter(name.front()) &&
                    std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
  if (good) return ok();
  return Error{Kind::invalid, format_text("nftables table name {} is not a name", quote(name))}.hint(
      "letters, digits and underscores, at most 64");
}

Result<Subnet> parse_pod_subnet(const std::string& text, Family family) {
  auto subnet = TRY(Subnet::parse(text));
  if (subnet.network.family != family)
    return Error{Kind::invalid, format_text("subnet {} has the wrong address family", quote(text))}.hint(
        "\"subnet\" is IPv4, \"subnet6\" is IPv6");
  if (subnet.host_bits() < kFewestHostBits)
    return Error{Kind::invalid, format_text("subnet {} has no room for a gateway and a pod", quote(text))}.hint(
        "the smallest is a /30");
  const auto first = subnet.network.storage[0];
  if (family == Family::ipv4 && (first == 0 || first == 127 || first >= 224))
    return Error{Kind::invalid, format_text("subnet {} cannot hold pods", quote(text))}.hint(
        "use a private network such as 10.88.0.0/16");
  return subnet;
}

Result<CheckedPort> parse_port(const PortMapping& port, bool has_ipv6) {
  CheckedPort checked{.host_port = port.host_port, .container_port = port.container_port};
  const auto step = format_text("host port {}/{}", port.host_port, port.protocol);
  const auto protocol = std::find_if(kProtocols.begin(), kProtocols.end(),
                                     [&](const Protocol& known) { return known.name == port.protocol; });
  if (protocol == kProtocols.end())
    return Error{Kind::invalid, format_text("host port {}: protocol {} is unknown", port.host_port,
                                            quote(port.protocol))}
        .hint("tcp, udp or sctp");
  checked.protocol = protocol->number;
  if (port.container_port == 0) return Error{Kind::invalid, "the container port is 0"}.during(step);
  if (port.host_ip.empty()) return checked;
  const auto address = TRY(IpAddress::parse(port.host_ip).during(step));
  checked.family = address.family;
  checked.only_family = true;
  if (address.family == Family::ipv6 && !has_ipv6)
    return Error{Kind::invalid, format_text("host address {} is IPv6, but pods have IPv4 only", address.text())}
        .during(step)
        .hint("configure an IPv6 subnet for the bridge");
  if (!address.is_unspecified()) checked.host_address = address;
  return checked;
}

}  // namespace

std::vector<Subnet> CheckedConfig::subnets() const {
  std::vector<Subnet> all{subnet};
  if (subnet6.has_value()) all.push_back(*subnet6);
  return all;
}

std::uint32_t CheckedConfig::last_offset() const {
  return (1U << std::min(subnet.host_bits(), kMostHostBits)) - 2;  // the last one is the broadcast address
}

std::vector<IpAddress> CheckedConfig::pod_addresses(std::uint32_t offset) const {
  std::vector<IpAddress> addresses;
  for (const auto& each : subnets()) addresses.push_back(each.at(offset));
  return addresses;
}

Result<CheckedConfig> parse_bridge_config(const BridgeConfig& config) {
  CheckedConfig checked{.bridge = config.bridge, .state_dir = config.state_dir, .table = config.table,
                        .mtu = config.mtu};
  TRY(check_interface_name(config.bridge));
  TRY(check_table_name(config.table));
  if (!config.state_dir.starts_with('/'))
    return Error{Kind::invalid, format_text("network state directory {} is not absolute", quote(config.state_dir))};
  if (config.mtu != 0 && (config.mtu < 1280 || config.mtu > 65535))
    return Error{Kind::invalid, format_text("MTU {} is not between 1280 and 65535", config.mtu)};
  checked.subnet = TRY(parse_pod_subnet(config.subnet, Family::ipv4));
  if (config.subnet6.empty()) return checked;
  checked.subnet6 = TRY(parse_pod_subnet(config.subnet6, Family::ipv6));
  if (checked.subnet6->host_bits() < checked.subnet.host_bits())
    return Error{Kind::invalid, format_text("subnet {} has fewer addresses than {}", quote(config.subnet6),
                                            quote(config.subnet))}
        .hint("each pod gets the same offset in both: use a /64");
  return checked;
}

std::string host_interface_name(const std::string& pod_id) {
  // FNV-1a, 64 bit; 44 of them fit in the name. Ids of pods are random, so that two cannot meet in practice;
  // if they did, the second set_up would fail with EEXIST.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : pod_id) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
  std::array<unsigned char, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(hash >> (8 * i));
  return "veth" + to_hex(bytes.data(), bytes.size()).substr(0, kMaxInterfaceName - 4);
}

MacAddress mac_of(const IpAddress& ipv4) {
  return {0x0a, 0x68, ipv4.storage[0], ipv4.storage[1], ipv4.storage[2], ipv4.storage[3]};
}

bool CheckedPort::applies_to(Family wanted) const { return !only_family || family == wanted; }

bool CheckedPort::collides_with(const CheckedPort& other) const {
  if (protocol != other.protocol || host_port != other.host_port) return false;
  if (only_family && other.only_family && family != other.family) return false;
  return !host_address.has_value() || !other.host_address.has_value() || *host_address == *other.host_address;
}

std::string CheckedPort::text() const {
  std::string_view name = "?";
  for (const auto& known : kProtocols)
    if (known.number == protocol) name = known.name;
  if (!host_address.has_value()) return format_text("{}/{}", host_port, name);
  const bool brackets = host_address->family == Family::ipv6;
  return format_text("{}{}{}:{}/{}", brackets ? "[" : "", host_address->text(), brackets ? "]" : "", host_port, name);
}

Result<std::vector<CheckedPort>> parse_ports(const std::vector<PortMapping>& ports, bool has_ipv6) {
  std::vector<CheckedPort> checked;
  for (const auto& port : ports) {
    if (port.host_port == 0) continue;
    if (checked.size() == kMaxPorts)
      return Error{Kind::invalid, format_text("a pod publishes more than {} host ports", kMaxPorts)}.hint(
          "give it the host's network, or an address of its own");
    const auto one = TRY(parse_port(port, has_ipv6));
    const auto same = std::find_if(checked.begin(), checked.end(),
                                   [&](const CheckedPort& known) { return known.collides_with(one); });
    if (same == checked.end()) {
      checked.push_back(one);
    } else if (same->container_port != one.container_port || same->host_address != one.host_address ||
               same->only_family != one.only_family) {
      return Error{Kind::invalid, format_text("host port {} is mapped twice in one pod", one.text())};
    }
  }
  return checked;
}

}  // namespace husk::netns
