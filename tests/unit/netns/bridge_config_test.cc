#include "netns/bridge_config.h"

#include "harness/harness.h"
#include "netns/record_store.h"
#include "netns/sysctl.h"

namespace husk::netns {
namespace {

BridgeConfig good() { return {.state_dir = "/var/lib/husk/network"}; }

PortMapping port(std::uint16_t host, std::uint16_t container, std::string protocol = "tcp", std::string ip = "") {
  return {.protocol = std::move(protocol), .container_port = container, .host_port = host, .host_ip = std::move(ip)};
}

}  // namespace

TEST_CASE("the default configuration is good and gives pods 10.88.0.2 to 10.88.255.254") {
  const auto config = parse_bridge_config(good());
  REQUIRE_OK(config);
  CHECK(config.value().pod_addresses(kFirstPodOffset).front().text() == "10.88.0.2");
  CHECK(config.value().pod_addresses(config.value().last_offset()).front().text() == "10.88.255.254");
}

TEST_CASE("a bad configuration is refused with the value and the reason") {
  struct Row {
    std::string expected;
    BridgeConfig config;
  };
  const auto with = [](auto change) {
    auto config = good();
    change(config);
    return config;
  };
  const std::vector<Row> rows{
      {"longer than 15 bytes", with([](BridgeConfig& c) { c.bridge = "a-very-long-name"; })},
      {"is empty", with([](BridgeConfig& c) { c.bridge = ""; })},
      {"not allowed", with([](BridgeConfig& c) { c.bridge = "a/b"; })},
      {"not allowed", with([](BridgeConfig& c) { c.bridge = ".."; })},
      {"not allowed", with([](BridgeConfig& c) { c.bridge = "br%d"; })},
      {"is not a subnet", with([](BridgeConfig& c) { c.subnet = "10.88.0.0"; })},
      {"no room for a gateway and a pod", with([](BridgeConfig& c) { c.subnet = "10.88.0.0/31"; })},
      {"cannot hold pods", with([](BridgeConfig& c) { c.subnet = "127.0.0.0/16"; })},
      {"cannot hold pods", with([](BridgeConfig& c) { c.subnet = "224.0.0.0/16"; })},
      {"wrong address family", with([](BridgeConfig& c) { c.subnet = "fd00::/64"; })},
      {"wrong address family", with([](BridgeConfig& c) { c.subnet6 = "10.99.0.0/16"; })},
      {"fewer addresses", with([](BridgeConfig& c) { c.subnet6 = "fd00::/120"; })},
      {"not absolute", with([](BridgeConfig& c) { c.state_dir = "state"; })},
      {"is not a name", with([](BridgeConfig& c) { c.table = "husk table"; })},
      {"is not a name", with([](BridgeConfig& c) { c.table = ""; })},
      {"MTU 100", with([](BridgeConfig& c) { c.mtu = 100; })},
  };
  for (const auto& row : rows) {
    CAPTURE(row.expected);
    const auto config = parse_bridge_config(row.config);
    REQUIRE(!config.has_value());
    CHECK(config.error().kind() == Kind::invalid);
    CHECK(config.error().to_string().find(row.expected) != std::string::npos);
  }
}

TEST_CASE("cri: port mappings with host port 0 are ignored, repetitions count once") {
  const auto ports = parse_ports({port(0, 80), port(8080, 80), port(8080, 80), port(8080, 80, "udp")}, false);
  REQUIRE_OK(ports);
  CHECK(ports.value().size() == 2);
}

TEST_CASE("bad port mappings are refused") {
  struct Row {
    std::string expected;
    std::vector<PortMapping> ports;
  };
  const std::vector<Row> rows{{"protocol \"TCP\" is unknown", {port(80, 80, "TCP")}},
                              {"container port is 0", {port(80, 0)}},
                              {"is not an IP address", {port(80, 80, "tcp", "localhost")}},
                              {"pods have IPv4 only", {port(80, 80, "tcp", "::1")}},
                              {"mapped twice", {port(80, 80), port(80, 81)}},
                              {"mapped twice", {port(80, 80), port(80, 80, "tcp", "127.0.0.1")}}};
  for (const auto& row : rows) {
    CAPTURE(row.expected);
    const auto ports = parse_ports(row.ports, false);
    REQUIRE(!ports.has_value());
    CHECK(ports.error().kind() == Kind::invalid);
    CHECK(ports.error().to_string().find(row.expected) != std::string::npos);
  }
}

TEST_CASE("a pod publishes a bounded number of host ports, and its record is one that can be read again") {
  std::vector<PortMapping> ports;
  for (int number = 1; number <= 4096; ++number) ports.push_back(port(static_cast<std::uint16_t>(number), 1, "sctp", "255.255.255.255"));
  CHECK(parse_ports(ports, false).value().size() == 4096);
  CHECK(print_record({.pod_id = std::string(64, 'a'), .ports = ports}).size() < (1U << 20U));
  ports.push_back(port(0, 1));  // not published
  CHECK_OK(parse_ports(ports, false));
  ports.push_back(port(5000, 1));
  CHECK(husk::test::error_text(parse_ports(ports, false)).find("more than 4096 host ports") != std::string::npos);
}

TEST_CASE("two mappings collide when one connection could go to both") {
  const auto one = [](const PortMapping& mapping) { return parse_ports({mapping}, true).value().front(); };
  const auto any = one(port(80, 1));
  const auto any4 = one(port(80, 1, "tcp", "0.0.0.0"));
  const auto any6 = one(port(80, 1, "tcp", "::"));
  const auto local = one(port(80, 1, "tcp", "127.0.0.1"));
  const auto other = one(port(80, 1, "tcp", "192.0.2.1"));
  CHECK(any.collides_with(any6));
  CHECK(any.collides_with(local));
  CHECK(any4.collides_with(local));
  CHECK(!any6.collides_with(local));
  CHECK(!any6.collides_with(any4));
  CHECK(!local.collides_with(other));
  CHECK(!any.collides_with(one(port(80, 1, "udp"))));
  CHECK(!any.collides_with(one(port(81, 1))));
  CHECK(local.text() == "127.0.0.1:80/tcp");
  CHECK(one(port(80, 1, "sctp", "::1")).text() == "[::1]:80/sctp");
}

TEST_CASE("the host's interface name fits, is stable and differs between pods") {
  const auto name = host_interface_name(std::string(64, 'a'));
  CHECK(name.size() == kMaxInterfaceName);
  CHECK(name.starts_with("veth"));
  CHECK(name == host_interface_name(std::string(64, 'a')));
  CHECK(name != host_interface_name(std::string(63, 'a') + "b"));
}

TEST_CASE("the MAC of a pod is locally administered, unicast, and made from its address") {
  const auto mac = mac_of(IpAddress::parse("10.88.0.2").value());
  CHECK((mac[0] & 0x03U) == 0x02);
  CHECK(mac[5] == 2);
}

TEST_CASE("sysctl(8): the first separator decides which one separates") {
  CHECK(sysctl_path("net.ipv4.ip_forward").value() == "/proc/sys/net/ipv4/ip_forward");
  CHECK(sysctl_path("net/ipv4/conf/eth0.1/arp_ignore").value() == "/proc/sys/net/ipv4/conf/eth0.1/arp_ignore");
  CHECK(sysctl_path("net.ipv4.conf.eth0/1.arp_ignore").value() == "/proc/sys/net/ipv4/conf/eth0.1/arp_ignore");
  for (const std::string_view bad : {"", "net", "kernel.shmmax", "net..x", "net/../kernel/x", "net.ipv4.", "/net/x"}) {
    CAPTURE(bad);
    CHECK(sysctl_path(bad).error().kind() == Kind::invalid);
  }
}

}  // namespace husk::netns
