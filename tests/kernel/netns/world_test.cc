#include "kernel/netns/world.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>

#include "base/process.h"
#include "netns/link.h"
#include "netns/namespace_thread.h"
#include "netns/nft.h"

namespace husk::netns::test {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }  // NOLINT: the socket API's cast
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.family == Family::ipv4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);  // NOLINT
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::copy_n(address.storage.begin(), 4, reinterpret_cast<std::uint8_t*>(&v4->sin_addr));  // NOLINT
    result.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);  // NOLINT
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::copy_n(address.storage.begin(), 16, reinterpret_cast<std::uint8_t*>(&v6->sin6_addr));  // NOLINT
    result.size = sizeof *v6;
  }
  return result;
}

IpAddress address_of(const std::string& text) {
  const auto address = IpAddress::parse(text);
  REQUIRE_OK(address);
  return address.value();
}

std::string peer_text(const sockaddr_storage& peer) {
  const bool is_v6 = peer.ss_family == AF_INET6;
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);   // NOLINT
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);  // NOLINT
  const auto* octets = is_v6 ? reinterpret_cast<const std::uint8_t*>(&v6->sin6_addr)
                             : reinterpret_cast<const std::uint8_t*>(&v4->sin_addr);
  return IpAddress::from_octets(is_v6 ? Family::ipv6 : Family::ipv4, {octets, is_v6 ? 16U : 4U}).text();
}

Result<UniqueFd> open_socket(const IpAddress& address, Transport transport) {
  return sys::socket(address_family(address.family), transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM);
}

void set_timeout(int fd, std::int64_t timeout_ms) {
  const timeval limit{.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
}

void reuse_address(int fd) {
  const int on = 1;
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
}

Status in_place(const std::string& netns, const std::function<Status()>& work) {
  if (netns.empty()) return on_new_thread(work);
  const auto fd = TRY(open_namespace(netns));
  return in_namespace(fd, work);
}

}  // namespace

bool can_run() { return husk::test::is_root() && path_exists("/usr/sbin/ip") && path_exists("/usr/bin/nsenter"); }

std::string command(const std::string& netns, const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"nsenter"};
  if (!netns.empty()) all.push_back("--net=" + netns);
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto environment = current_environment();
  const auto output = run({.path = "/usr/bin/nsenter", .arguments = all, .environment = environment}, 10000);
  REQUIRE_OK(output);
  const auto complaint = format_text("{}: {}", join(all, " "), output.value().err);
  REQUIRE_MESSAGE(output.value().status.success(), complaint);
  return output.value().out;
}

World::World() : outside_{directory_ / "ns/outside"} {
  REQUIRE_OK(sys::unshare(CLONE_NEWNS | CLONE_NEWNET));
  REQUIRE_OK(sys::mount("", "/", "", MS_REC | MS_PRIVATE, ""));
  command("", {"ip", "link", "set", "lo", "up"});
  REQUIRE_OK(create_pinned(outside_, {}));
  command("", {"ip", "link", "add", "uplink0", "type", "veth", "peer", "name", "eth0", "netns", outside_});
  command("", {"ip", "address", "add", std::string{kHostAddress} + "/24", "dev", "uplink0"});
  command("", {"ip", "link", "set", "uplink0", "up"});
  command(outside_, {"ip", "address", "add", std::string{kOutsideAddress} + "/24", "dev", "eth0"});
  command(outside_, {"ip", "link", "set", "eth0", "up"});
  command("", {"ip", "route", "add", "default", "via", kOutsideAddress});
}

World::~World() {
  const auto directory = sys::openat(AT_FDCWD, directory_ / "ns", O_RDONLY | O_DIRECTORY);
  if (!directory.has_value()) return;
  const auto entries = sys::list_dir(directory.value().get());
  if (!entries.has_value()) return;
  for (const auto& entry : entries.value()) (void)remove_pinned(netns(entry.name));
}

BridgeConfig World::config() const { return {.bridge = "husk0", .subnet = "10.88.0.0/16", .state_dir = state_dir()}; }

PodRequest World::request(const std::string& id, std::vector<PortMapping> ports) const {
  if (!path_exists(netns(id))) REQUIRE_OK(create_pinned(netns(id), {}));
  return {.pod_id = id, .name = "default/" + id, .uid = "uid-" + id, .netns_path = netns(id), .ports = std::move(ports)};
}

void World::remove_pod_namespace(const std::string& id) const { REQUIRE_OK(remove_pinned(netns(id))); }

std::vector<std::string> World::leftovers() const {
  std::vector<std::string> found;
  auto route = route_socket();
  const auto links = list_links(route);
  REQUIRE_OK(links);
  for (const auto& link : links.value()) found.push_back("link " + link.name);
  if (const auto directory = sys::openat(AT_FDCWD, state_dir() + "/pods", O_RDONLY | O_DIRECTORY);
      directory.has_value()) {
    const auto entries = sys::list_dir(directory.value().get());
    REQUIRE_OK(entries);
    for (const auto& entry : entries.value()) found.push_back("record " + entry.name);
  }
  found.push_back(format_text("elements {}", count_elements()));
  std::sort(found.begin(), found.end());
  return found;
}

Server::Server(const std::string& netns, const std::string& name, Transport transport, std::uint16_t port,
               const std::string& address)
    : name_{name}, transport_{transport} {
  const auto where = address_of(address);
  const auto listen = [&]() -> Status {
    socket_ = TRY(open_socket(where, transport));
    reuse_address(socket_.get());
    auto bound = socket_address(where, port);
    REQUIRE(::bind(socket_.get(), bound.get(), bound.size) == 0);
    if (transport == Transport::tcp) REQUIRE(::listen(socket_.get(), 64) == 0);
    return ok();
  };
  REQUIRE_OK(in_place(netns, listen));
  auto stop = sys::eventfd();
  REQUIRE_OK(stop);
  stop_ = std::move(stop).value();
  thread_ = std::thread{[this] { serve(); }};
}

void Server::serve() {
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = socket_.get(), .events = POLLIN}, {.fd = stop_.get(), .events = POLLIN}};
    if (!sys::poll(entries, -1).has_value() || entries[1].revents != 0) return;
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    auto* from = reinterpret_cast<sockaddr*>(&peer);  // NOLINT: the socket API's cast
    if (transport_ == Transport::tcp) {
      const UniqueFd connection{::accept4(socket_.get(), from, &size, SOCK_CLOEXEC)};
      ++received_;
      if (connection.is_open()) (void)sys::write_all(connection.get(), name_ + " " + peer_text(peer));
      continue;
    }
    std::array<char, 256> data{};
    if (::recvfrom(socket_.get(), data.data(), data.size(), 0, from, &size) < 0) continue;
    ++received_;
    const auto answer = name_ + " " + peer_text(peer);
    (void)::sendto(socket_.get(), answer.data(), answer.size(), 0, from, size);
  }
}

Server::~Server() {
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

std::string ask(const Call& call) {
  std::string answer;
  const auto talk = [&]() -> Status {
    const auto target = address_of(call.address);
    const auto socket = TRY(open_socket(target, call.transport));
    set_timeout(socket.get(), call.timeout_ms);
    if (call.source_port != 0) {
      reuse_address(socket.get());
      auto source = socket_address(address_of(target.family == Family::ipv4 ? "0.0.0.0" : "::"), call.source_port);
      REQUIRE(::bind(socket.get(), source.get(), source.size) == 0);
    }
    auto destination = socket_address(target, call.port);
    if (::connect(socket.get(), destination.get(), destination.size) != 0) return ok();
    if (call.transport == Transport::udp) {
      const auto sent = sys::write_all(socket.get(), "hello");
      if (!sent.has_value()) return ok();
    }
    std::array<char, 256> data{};
    const auto got = ::recv(socket.get(), data.data(), data.size(), 0);
    if (got > 0) answer.assign(data.data(), static_cast<std::size_t>(got));
    return ok();
  };
  REQUIRE_OK(in_place(call.netns, talk));
  return answer;
}

netlink::Socket route_socket() {
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  REQUIRE_OK(socket);
  return std::move(socket).value();
}

netlink::Socket netfilter_socket() {
  auto socket = netlink::Socket::open(NETLINK_NETFILTER);
  REQUIRE_OK(socket);
  return std::move(socket).value();
}

namespace {

netlink::Message nft_list(int type, std::uint8_t family) {
  netlink::Message message{static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type), NLM_F_DUMP, "list"};
  message.append(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0});
  return message;
}

}  // namespace

std::size_t count_elements() {
  auto socket = netfilter_socket();
  const auto sets = socket.dump(nft_list(NFT_MSG_GETSET, AF_UNSPEC));
  REQUIRE_OK(sets);
  std::size_t count = 0;
  for (const auto& set : sets.value()) {
    const auto attributes = set.attributes<nfgenmsg>();
    auto message = nft_list(NFT_MSG_GETSETELEM, set.fixed<nfgenmsg>().nfgen_family);
    message.attr(NFTA_SET_ELEM_LIST_TABLE, netlink::find_attribute(attributes, NFTA_SET_TABLE)->text());
    message.attr(NFTA_SET_ELEM_LIST_SET, netlink::find_attribute(attributes, NFTA_SET_NAME)->text());
    const auto parts = socket.dump(message);
    REQUIRE_OK(parts);
    for (const auto& part : parts.value()) {
      const auto list = netlink::find_attribute(part.attributes<nfgenmsg>(), NFTA_SET_ELEM_LIST_ELEMENTS);
      if (list.has_value()) count += netlink::parse_attributes(list->payload).size();
    }
  }
  return count;
}

void flush_ruleset(const std::string& table) {
  auto socket = netfilter_socket();
  std::vector<netlink::Message> messages;
  messages.push_back(nft::delete_table({.family = NFPROTO_IPV4, .name = table}));
  REQUIRE_OK(socket.apply(nft::make_batch(std::move(messages))));
}

TEST_CASE("the test world: the outside answers the host and does not know the way to pods") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const Server server{world.outside(), "outside", Transport::tcp, 80};
  CHECK(ask({.address = kOutsideAddress, .port = 80}) == "outside 192.0.2.1");
  CHECK(command(world.outside(), {"ip", "route", "get", "192.0.2.1"}).find("dev eth0") != std::string::npos);
  CHECK(command(world.outside(), {"ip", "route", "show"}).find("10.88") == std::string::npos);
}

}  // namespace husk::netns::test
