// The bridge engine between real namespaces: who reaches whom, and by which address.
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <span>

#include "base/clock.h"
#include "kernel/netns/world.h"
#include "netns/link.h"
#include "netns/namespace_thread.h"
#include "netns/netlink/socket.h"
#include "netns/nft.h"

namespace husk::netns::test {
namespace {

std::unique_ptr<PodNetwork> make_network(const BridgeConfig& config) {
  auto network = make_bridge_network(config);
  REQUIRE_OK(network);
  return std::move(network).value();
}

Attachment connect(PodNetwork& network, const PodRequest& request) {
  const auto attachment = network.set_up(request);
  REQUIRE_OK(attachment);
  return attachment.value();
}

PortMapping publish(std::uint16_t host, std::uint16_t container, const std::string& protocol = "tcp",
                    const std::string& host_ip = "") {
  return {.protocol = protocol, .container_port = container, .host_port = host, .host_ip = host_ip};
}

// RFC 9260 section 3, appendix A: CRC32c, reflected.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~0U;
  for (const auto byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ 0x82f63b78U : crc >> 1U;
  }
  return ~crc;
}

// INIT and INIT ACK by hand, on a raw socket: no SCTP of the kernel's is needed to see what becomes of them.
class RawSctp {
 public:
  static constexpr std::uint32_t kTag = 0x01020304;
  struct Packet {
    std::uint16_t source;
    std::uint16_t destination;
    std::uint32_t tag = 0;
    std::uint8_t chunk;
  };

  explicit RawSctp(const std::string& netns) {
    const auto inside = open_namespace(netns);
    REQUIRE_OK(inside);
    REQUIRE_OK(in_namespace(inside.value(), [&]() -> Status {
      socket_ = TRY(sys::socket(AF_INET, SOCK_RAW, IPPROTO_SCTP));
      return ok();
    }));
  }
  void send(const char* address, const Packet& packet) const {
    std::vector<std::uint8_t> bytes;
    const auto put = [&](std::uint32_t value, int size) {
      for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> static_cast<unsigned>(shift)));
    };
    put(packet.source, 2);
    put(packet.destination, 2);
    put(packet.tag, 4);
    put(0, 4);  // checksum
    put(packet.chunk, 1);
    put(0, 1);
    put(20, 2);    // length of the chunk
    put(kTag, 4);  // initiate tag, window, streams, first number
    put(65535, 4);
    put(1, 2);
    put(1, 2);
    put(1, 4);
    const auto crc = crc32c(bytes);
    std::memcpy(bytes.data() + 8, &crc, sizeof crc);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, address, &to.sin_addr) == 1);
    const auto sent = ::sendto(socket_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);  // NOLINT
    REQUIRE(sent == static_cast<ssize_t>(bytes.size()));
  }
  // "SOURCE_ADDRESS SOURCE_PORT DESTINATION_PORT CHUNK", "" when nothing comes.
  std::string receive(int timeout_ms = 3000) const {
    std::vector<sys::PollEntry> entries{{.fd = socket_.get(), .events = POLLIN}};
    if (sys::poll(entries, timeout_ms).value() == 0) return {};
    std::array<std::uint8_t, 256> bytes{};
    const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    REQUIRE(got >= 20 + 13);
    const auto at = static_cast<std::size_t>(bytes[0] & 15U) * 4;
    const auto number = [&](std::size_t from) { return bytes.at(from) << 8U | bytes.at(from + 1); };
    return format_text("{}.{}.{}.{} {} {} {}", bytes[12], bytes[13], bytes[14], bytes[15], number(at), number(at + 2), bytes.at(at + 12));
  }

 private:
  UniqueFd socket_;
};

}  // namespace

TEST_CASE("pods reach each other by TCP and UDP under their own addresses") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  CHECK(network->not_ready_reason().empty());
  const auto a = connect(*network, world.request("a"));
  const auto b = connect(*network, world.request("b"));
  CHECK(a.addresses == std::vector<std::string>{"10.88.0.2"});
  CHECK(b.addresses == std::vector<std::string>{"10.88.0.3"});
  CHECK(a.interface_name == "eth0");
  const Server tcp{world.netns("b"), "b", Transport::tcp, 80};
  const Server udp{world.netns("b"), "b", Transport::udp, 53};
  CHECK(ask({.netns = world.netns("a"), .address = "10.88.0.3", .port = 80}) == "b 10.88.0.2");
  CHECK(ask({.netns = world.netns("a"), .address = "10.88.0.3", .port = 53, .transport = Transport::udp}) ==
        "b 10.88.0.2");
  CHECK(ask({.address = "10.88.0.3", .port = 80}) == "b 10.88.0.1");
}

TEST_CASE("a pod reaches the outside under the host's address, which knows no way back to pods") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("a"));
  const Server tcp{world.outside(), "outside", Transport::tcp, 80};
  const Server udp{world.outside(), "outside", Transport::udp, 53};
  CHECK(ask({.netns = world.netns("a"), .address = kOutsideAddress, .port = 80}) == "outside 192.0.2.1");
  CHECK(ask({.netns = world.netns("a"), .address = kOutsideAddress, .port = 53, .transport = Transport::udp}) ==
        "outside 192.0.2.1");
}

TEST_CASE("a published port is reached from everywhere: loopback, host, outside, other pods, the pod itself") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("web", {publish(8080, 80), publish(5353, 53, "udp"), publish(0, 81)}));
  connect(*network, world.request("other"));
  const Server tcp{world.netns("web"), "web", Transport::tcp, 80};
  const Server udp{world.netns("web"), "web", Transport::udp, 53};
  struct Row {
    std::string from;
    std::string to;
    std::string seen;  // the client's address as the pod sees it
  };
  for (const auto& row : {Row{"", "127.0.0.1", "10.88.0.1"}, Row{"", kHostAddress, kHostAddress},
                          Row{"", "10.88.0.1", "10.88.0.1"}, Row{world.outside(), kHostAddress, kOutsideAddress},
                          Row{world.netns("other"), kHostAddress, "10.88.0.1"},
                          Row{world.netns("other"), "10.88.0.1", "10.88.0.1"},
                          Row{world.netns("web"), kHostAddress, "10.88.0.1"}}) {
    CAPTURE(row.from);
    CAPTURE(row.to);
    CHECK(ask({.netns = row.from, .address = row.to, .port = 8080}) == "web " + row.seen);
    CHECK(ask({.netns = row.from, .address = row.to, .port = 5353, .transport = Transport::udp}) == "web " + row.seen);
  }
  // The other way round nothing is caught: a foreign address with the same port is not ours.
  const Server foreign{world.outside(), "outside", Transport::tcp, 8080};
  CHECK(ask({.netns = world.netns("other"), .address = kOutsideAddress, .port = 8080}) == "outside 192.0.2.1");
  REQUIRE_OK(network->tear_down("web"));
  CHECK(ask({.address = "127.0.0.1", .port = 8080, .timeout_ms = 300}).empty());
}

TEST_CASE("SCTP: a published port is translated to the pod, and its answer back, for kernels with and without sockets for it") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  if (!path_exists("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established"))
    HUSK_SKIP("this kernel tracks no SCTP connections (CONFIG_NF_CT_PROTO_SCTP)");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("web", {publish(3868, 38680, "sctp")}));
  const RawSctp outside{world.outside()};
  const RawSctp pod{world.netns("web")};
  constexpr std::uint8_t kInit = 1;
  constexpr std::uint8_t kInitAck = 2;
  outside.send(kHostAddress, {.source = 5000, .destination = 3868, .chunk = kInit});
  CHECK(pod.receive() == format_text("{} 5000 38680 {}", kOutsideAddress, kInit));
  pod.send(kOutsideAddress, {.source = 38680, .destination = 5000, .tag = RawSctp::kTag, .chunk = kInitAck});
  CHECK(outside.receive() == format_text("{} 3868 5000 {}", kHostAddress, kInitAck));
  // Another port of the host is nobody's.
  outside.send(kHostAddress, {.source = 5001, .destination = 3869, .chunk = kInit});
  CHECK(pod.receive(200) == "");
}

TEST_CASE("with br_netfilter a pod still reaches its own published port") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  if (!path_exists("/proc/sys/net/bridge/bridge-nf-call-iptables")) HUSK_SKIP("this kernel has no br_netfilter");
  REQUIRE_OK(write_existing(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", "1"));
  const auto network = make_network(world.config());
  connect(*network, world.request("web", {publish(8080, 80)}));
  connect(*network, world.request("other"));
  const Server tcp{world.netns("web"), "web", Transport::tcp, 80};
  CHECK(!ask({.netns = world.netns("web"), .address = kHostAddress, .port = 8080}).empty());
  CHECK(!ask({.netns = world.netns("other"), .address = kHostAddress, .port = 8080}).empty());
  CHECK(ask({.netns = world.netns("other"), .address = "10.88.0.2", .port = 80}) == "web 10.88.0.3");
}

TEST_CASE("a port published on one address of the host is not on the others") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("web", {publish(8080, 80, "tcp", "127.0.0.1")}));
  connect(*network, world.request("api", {publish(8080, 80, "tcp", kHostAddress)}));
  connect(*network, world.request("all", {publish(9090, 80, "tcp", "0.0.0.0")}));
  const Server web{world.netns("web"), "web", Transport::tcp, 80};
  const Server api{world.netns("api"), "api", Transport::tcp, 80};
  const Server all{world.netns("all"), "all", Transport::tcp, 80};
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
  CHECK(ask({.address = kHostAddress, .port = 8080}) == "api 192.0.2.1");
  CHECK(ask({.netns = world.outside(), .address = kHostAddress, .port = 8080}) == "api 192.0.2.2");
  CHECK(ask({.address = "10.88.0.1", .port = 8080, .timeout_ms = 300}).empty());
  CHECK(ask({.netns = world.outside(), .address = kHostAddress, .port = 9090}) == "all 192.0.2.2");
}

TEST_CASE("a pod cannot reach what listens on the host's loopback only (CVE-2020-8558)") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("evil"));
  const auto evil = world.netns("evil");
  const Server secret{"", "secret", Transport::udp, 7777, "127.0.0.1"};
  CHECK(ask({.address = "127.0.0.1", .port = 7777, .transport = Transport::udp}) == "secret 127.0.0.1");
  // The pod sends to 127.0.0.1 by way of the bridge, as root in it could.
  command(evil, {"sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet"});
  command(evil, {"ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"});
  command(evil, {"ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"});
  command(evil, {"ip", "route", "add", "127.0.0.0/8", "via", "10.88.0.1", "dev", "eth0"});
  const Call attack{.netns = evil, .address = "127.0.0.1", .port = 7777, .transport = Transport::udp, .timeout_ms = 500};
  CHECK(ask(attack).empty());
  CHECK(secret.received() == 1);
  // Without the rules the datagram arrives (its answer does not find back): so they are what stops it.
  flush_ruleset("husk");
  CHECK(ask(attack).empty());
  CHECK(secret.received() == 2);
}

TEST_CASE("IPv6: pods, outside and published ports, when the configuration has a subnet for it") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  if (!path_exists("/proc/sys/net/ipv6")) HUSK_SKIP("this kernel has no IPv6");
  command("", {"ip", "address", "add", "2001:db8::1/64", "dev", "uplink0", "nodad"});
  command(world.outside(), {"ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad"});
  auto config = world.config();
  config.subnet6 = "fd00:88::/64";
  const auto network = make_network(config);
  const auto web = connect(*network, world.request("web", {publish(8080, 80), publish(9090, 80, "tcp", "2001:db8::1")}));
  connect(*network, world.request("other"));
  CHECK(web.addresses == std::vector<std::string>{"10.88.0.2", "fd00:88::2"});
  const Server server{world.netns("web"), "web", Transport::tcp, 80, "::"};
  const Server outside{world.outside(), "outside", Transport::tcp, 80, "::"};
  CHECK(ask({.netns = world.netns("other"), .address = "fd00:88::2", .port = 80}) == "web fd00:88::3");
  CHECK(ask({.netns = world.outside(), .address = "2001:db8::1", .port = 8080}) == "web 2001:db8::2");
  CHECK(ask({.netns = world.outside(), .address = "2001:db8::1", .port = 9090}) == "web 2001:db8::2");
  CHECK(ask({.netns = world.netns("other"), .address = "2001:db8::1", .port = 8080}) == "web fd00:88::1");
  CHECK(ask({.netns = world.netns("web"), .address = "2001:db8::2", .port = 80}) == "outside 2001:db8::1");
  CHECK(ask({.netns = world.outside(), .address = kHostAddress, .port = 8080}) == "web ::ffff:192.0.2.2");
}

TEST_CASE("a UDP client that never pauses follows the host port to the next pod") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  const Call client{.netns = world.outside(), .address = kHostAddress, .port = 5353, .transport = Transport::udp,
                    .source_port = 4444, .timeout_ms = 300};
  connect(*network, world.request("none"));
  CHECK(ask(client).empty());  // an entry without translation from before the port was published
  connect(*network, world.request("old", {publish(5353, 53, "udp")}));
  const Server old_server{world.netns("old"), "old", Transport::udp, 53};
  CHECK(ask(client) == "old 192.0.2.2");
  REQUIRE_OK(network->tear_down("old"));
  connect(*network, world.request("new", {publish(5353, 53, "udp")}));
  const Server new_server{world.netns("new"), "new", Transport::udp, 53};
  CHECK(ask(client) == "new 192.0.2.2");
}

TEST_CASE("the table reads well in nft") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  if (!path_exists("/usr/sbin/nft")) HUSK_SKIP("nft is not installed");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("web", {publish(8080, 80), publish(8081, 80, "tcp", "127.0.0.1")}));
  const auto text = command("", {"/usr/sbin/nft", "list", "table", "ip", "husk"});
  for (const auto* expected : {"type inet_proto . inet_service : ipv4_addr . inet_service", "tcp . 8080 : 10.88.0.2 . 80",
                               "tcp . 127.0.0.1 . 8081 : 10.88.0.2 . 80", "fib daddr type local jump hostports",
                               "dnat ip to", "masquerade", "iifname \"husk0\" ip daddr 127.0.0.0/8 drop"}) {
    CAPTURE(text);
    CHECK(text.find(expected) != std::string::npos);
  }
}

TEST_CASE("stats count the traffic of eth0 and leave lo out") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("a"));
  const Server server{world.netns("a"), "a", Transport::tcp, 80};
  REQUIRE(ask({.address = "10.88.0.2", .port = 80}) == "a 10.88.0.1");
  const auto stats = network->stats(world.netns("a"));
  REQUIRE_OK(stats);
  REQUIRE(stats.value().size() == 1);
  CHECK(stats.value()[0].name == "eth0");
  CHECK(stats.value()[0].rx_bytes > 100);
  CHECK(stats.value()[0].tx_bytes > 100);
  CHECK(network->stats(world.netns("none")).error().kind() == Kind::not_found);
}

TEST_CASE("pods get the MTU of the host's way out") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  command("", {"ip", "link", "set", "uplink0", "mtu", "1400"});
  const auto network = make_network(world.config());
  connect(*network, world.request("a"));
  CHECK(command(world.netns("a"), {"ip", "link", "show", "eth0"}).find("mtu 1400") != std::string::npos);
}

TEST_CASE("the timing of one pod, for the reader") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  connect(*network, world.request("warm-up"));
  constexpr int kPods = 50;
  std::int64_t create_ns = 0;
  std::int64_t set_up_ns = 0;
  std::int64_t tear_down_ns = 0;
  std::int64_t remove_ns = 0;
  for (int i = 0; i < kPods; ++i) {
    const auto id = format_text("pod{}", i);
    const auto start = now_monotonic_ns();
    const auto request = world.request(id, {publish(static_cast<std::uint16_t>(8000 + i), 80)});
    const auto created = now_monotonic_ns();
    connect(*network, request);
    const auto connected = now_monotonic_ns();
    create_ns += created - start;
    set_up_ns += connected - created;
  }
  constexpr int kOneByOne = 10;
  for (int i = 0; i < kOneByOne; ++i) {
    const auto start = now_monotonic_ns();
    REQUIRE_OK(network->tear_down(format_text("pod{}", i)));
    tear_down_ns += now_monotonic_ns() - start;
  }
  const auto together = now_monotonic_ns();
  {
    std::vector<std::thread> threads;
    for (int i = kOneByOne; i < kPods; ++i)
      threads.emplace_back([&, i] { (void)network->tear_down(format_text("pod{}", i)); });
    for (auto& thread : threads) thread.join();
  }
  const auto together_ns = now_monotonic_ns() - together;
  for (int i = 0; i < kPods; ++i) {
    const auto start = now_monotonic_ns();
    world.remove_pod_namespace(format_text("pod{}", i));
    remove_ns += now_monotonic_ns() - start;
  }
  const auto mean_us = [](std::int64_t total, int count) { return total / count / 1000; };
  MESSAGE(format_text("mean of {} pods with a host port: create_pinned {} us, set_up {} us, tear_down one by one {} us, "
                      "{} at once {} us each, remove_pinned {} us",
                      kPods, mean_us(create_ns, kPods), mean_us(set_up_ns, kPods), mean_us(tear_down_ns, kOneByOne),
                      kPods - kOneByOne, mean_us(together_ns, kPods - kOneByOne), mean_us(remove_ns, kPods)));
  CHECK(count_elements() == 0);
}

}  // namespace husk::netns::test
