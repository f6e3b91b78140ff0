// A small world for one test: private mount and network namespaces, an uplink to an "outside" network, pods
// and little servers in them. Everything ends with the test.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/harness.h"
#include "netns/ip_address.h"
#include "netns/netlink/socket.h"
#include "netns/pod_network.h"

namespace husk::netns::test {

inline constexpr const char* kHostAddress = "192.0.2.1";     // the host's end of the uplink
inline constexpr const char* kOutsideAddress = "192.0.2.2";  // a machine that knows no route to pods

// Moves the calling thread (and the threads it starts later) into fresh namespaces.
class World {
 public:
  World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  std::string netns(const std::string& name) const { return directory_ / "ns/" + name; }
  const std::string& outside() const { return outside_; }
  std::string state_dir() const { return directory_ / "state"; }
  BridgeConfig config() const;
  // A pinned namespace, ready to be connected.
  PodRequest request(const std::string& id, std::vector<PortMapping> ports = {}) const;
  void remove_pod_namespace(const std::string& id) const;

  // What the engine may leave behind: interfaces, records, elements of maps. Equal before and after.
  std::vector<std::string> leftovers() const;

 private:
  husk::test::TempDir directory_;
  std::string outside_;
};

bool can_run();  // root, and `ip` is installed

// Runs a program and gives its output; `netns` empty = the host. The test fails when the program does.
std::string command(const std::string& netns, const std::vector<std::string>& arguments);

enum class Transport : std::uint8_t { tcp, udp };

// Answers each connection or datagram with "NAME PEER_ADDRESS".
class Server {
 public:
  Server(const std::string& netns, const std::string& name, Transport transport, std::uint16_t port,
         const std::string& address = "0.0.0.0");
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();
  int received() const { return received_; }

 private:
  void serve();
  std::string name_;
  Transport transport_;
  UniqueFd socket_;
  UniqueFd stop_;
  std::atomic<int> received_ = 0;
  std::thread thread_;
};

// "NAME ADDRESS" of the server that answered, or "" within the time-out.
struct Call {
  std::string netns;  // "" = the host
  std::string address;
  std::uint16_t port = 0;
  Transport transport = Transport::tcp;
  std::uint16_t source_port = 0;  // 0 = any
  std::int64_t timeout_ms = 3000;
};
std::string ask(const Call& call);

netlink::Socket route_socket();
netlink::Socket netfilter_socket();
std::size_t count_elements();  // of all maps of all tables
// What `nft flush ruleset` does.
void flush_ruleset(const std::string& table);

}  // namespace husk::netns::test
