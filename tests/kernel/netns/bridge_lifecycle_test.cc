// The bridge engine over time and under faults: restarts, flushed rules, garbage, exhaustion, many at once,
// and every step of set_up made to fail or to die.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "kernel/netns/world.h"
#include "netns/bridge_network.h"
#include "netns/link.h"
#include "netns/nft.h"

namespace husk::netns::test {
namespace {

using Step = BridgeNetwork::Step;
constexpr std::array kSteps{Step::host, Step::record, Step::open_namespace, Step::link,
                            Step::address, Step::ports, Step::finish};

std::unique_ptr<BridgeNetwork> make_network(const BridgeConfig& config, BridgeNetwork::Checkpoint checkpoint = {}) {
  auto network = BridgeNetwork::create(config, std::move(checkpoint));
  REQUIRE_OK(network);
  return std::move(network).value();
}

std::string address_of(PodNetwork& network, const PodRequest& request) {
  const auto attachment = network.set_up(request);
  REQUIRE_OK(attachment);
  return attachment.value().addresses.front();
}

PortMapping publish(std::uint16_t host, std::uint16_t container, const std::string& protocol = "tcp") {
  return {.protocol = protocol, .container_port = container, .host_port = host};
}

std::vector<std::string> without(std::vector<std::string> items, const std::string& item) {
  std::erase(items, item);
  return items;
}

void delete_rules_only() {  // what `nft flush table ip husk` does
  auto socket = netfilter_socket();
  netlink::Message message{(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELRULE, NLM_F_ACK, "flush table"};
  message.append(nfgenmsg{.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0, .res_id = 0});
  message.attr(NFTA_RULE_TABLE, "husk");
  std::vector<netlink::Message> messages;
  messages.push_back(std::move(message));
  REQUIRE_OK(socket.apply(nft::make_batch(std::move(messages))));
}

}  // namespace

TEST_CASE("set_up is idempotent: the second call gives the same addresses and changes nothing") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  const auto request = world.request("web", {publish(8080, 80)});
  const auto first = address_of(*network, request);
  const auto before = world.leftovers();
  const auto index = command("", {"ip", "-o", "link", "show", "type", "veth", "master", "husk0"});
  CHECK(address_of(*network, request) == first);
  CHECK(world.leftovers() == before);
  CHECK(command("", {"ip", "-o", "link", "show", "type", "veth", "master", "husk0"}) == index);
}

TEST_CASE("set_up of a pod whose interface was deleted connects it again under the same address") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  const auto request = world.request("web", {publish(8080, 80)});
  const auto first = address_of(*network, request);
  SUBCASE("the host's end is gone") { command("", {"ip", "link", "del", host_interface_name("web")}); }
  SUBCASE("the pod's address is gone") { command(world.netns("web"), {"ip", "address", "flush", "dev", "eth0"}); }
  CHECK(address_of(*network, request) == first);
  const Server server{world.netns("web"), "web", Transport::tcp, 80};
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
}

TEST_CASE("a new engine on the same state knows the pods: same address, ports still there, no address twice") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto request = world.request("web", {publish(8080, 80)});
  std::string first;
  {
    const auto network = make_network(world.config());
    first = address_of(*network, request);
  }
  const Server server{world.netns("web"), "web", Transport::tcp, 80};
  const auto network = make_network(world.config());
  REQUIRE_OK(network->collect_garbage({"web"}));
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
  CHECK(address_of(*network, request) == first);
  CHECK(address_of(*network, world.request("next")) == "10.88.0.3");
  REQUIRE_OK(network->tear_down("web"));
  REQUIRE_OK(network->tear_down("web"));
  CHECK(ask({.address = "127.0.0.1", .port = 8080, .timeout_ms = 300}).empty());
}

TEST_CASE("a host with many thousand published ports: a new engine installs the rules of all pods") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  constexpr std::uint16_t kEach = 3000;
  {
    const auto network = make_network(world.config());
    for (std::uint16_t pod = 0; pod < 3; ++pod) {
      std::vector<PortMapping> ports;
      for (std::uint16_t i = 0; i < kEach; ++i) ports.push_back(publish(static_cast<std::uint16_t>(10'000 + pod * kEach + i), 80));
      REQUIRE_OK(network->set_up(world.request(format_text("pod{}", pod), ports)));
    }
  }
  const auto network = make_network(world.config());
  REQUIRE_OK(network->collect_garbage({"pod0", "pod1", "pod2"}));
  CHECK(count_elements() == 3U * kEach);
  const Server server{world.netns("pod2"), "last", Transport::tcp, 80};
  CHECK(ask({.address = "127.0.0.1", .port = 18'999}) == "last 10.88.0.1");
  REQUIRE_OK(network->collect_garbage({}));
  CHECK(count_elements() == 0);
}

TEST_CASE("rules that somebody flushed come back with the next set_up or readiness check, for all pods") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  REQUIRE_OK(network->set_up(world.request("web", {publish(8080, 80)})));
  const Server server{world.netns("web"), "web", Transport::tcp, 80};
  REQUIRE(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
  SUBCASE("the whole ruleset, then a pod with ports") {
    flush_ruleset("husk");
    REQUIRE(ask({.address = "127.0.0.1", .port = 8080, .timeout_ms = 300}).empty());
    REQUIRE_OK(network->set_up(world.request("next", {publish(8081, 80)})));
  }
  SUBCASE("the whole ruleset, then a pod without ports") {
    flush_ruleset("husk");
    REQUIRE_OK(network->set_up(world.request("next")));
  }
  SUBCASE("the rules of the table") {
    delete_rules_only();
    CHECK(network->not_ready_reason().empty());
  }
  SUBCASE("the whole ruleset, then a tear-down of another pod with ports") {
    REQUIRE_OK(network->set_up(world.request("next", {publish(8081, 80)})));
    flush_ruleset("husk");
    REQUIRE_OK(network->tear_down("next"));
  }
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
}

TEST_CASE("tear_down works when the namespace is gone and when nothing was ever set up") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  REQUIRE(network->not_ready_reason().empty());
  const auto before = world.leftovers();
  const auto request = world.request("web", {publish(8080, 80), publish(53, 53, "udp")});
  REQUIRE_OK(network->set_up(request));
  CHECK(world.leftovers() != before);
  world.remove_pod_namespace("web");
  CHECK_OK(network->tear_down("web"));
  CHECK(world.leftovers() == before);
  CHECK_OK(network->tear_down("never-there"));
  CHECK(network->tear_down("../../etc/passwd").error().kind() == Kind::invalid);
}

TEST_CASE("garbage collection removes pods that are not living, links without a record, and broken records") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  REQUIRE_OK(network->set_up(world.request("alive", {publish(8080, 80)})));
  const auto before = world.leftovers();
  REQUIRE_OK(network->set_up(world.request("dead", {publish(8081, 80)})));
  REQUIRE_OK(network->set_up(world.request("lost")));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, world.state_dir() + "/pods/lost.json"));
  REQUIRE_OK(write_atomically(AT_FDCWD, world.state_dir() + "/pods/broken.json", ""));
  const auto restarted = make_network(world.config());
  REQUIRE_OK(restarted->collect_garbage({"alive"}));
  CHECK(world.leftovers() == before);
  const Server server{world.netns("alive"), "alive", Transport::tcp, 80};
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "alive 10.88.0.1");
}

TEST_CASE("a full subnet is an error that says so; a freed address is usable again") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  auto config = world.config();
  config.subnet = "10.99.0.0/30";
  const auto network = make_network(config);
  CHECK(address_of(*network, world.request("one")) == "10.99.0.2");
  const auto before = world.leftovers();
  const auto second = network->set_up(world.request("two"));
  REQUIRE(!second.has_value());
  CHECK(second.error().kind() == Kind::exhausted);
  CHECK(second.error().to_string().find("no address is free in 10.99.0.0/30") != std::string::npos);
  CHECK(!second.error().hint_text().empty());
  CHECK(world.leftovers() == before);
  REQUIRE_OK(network->tear_down("one"));
  CHECK(address_of(*network, world.request("two")) == "10.99.0.2");
}

TEST_CASE("addresses go round: one that was just freed is not given out at once, also after a restart") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  auto config = world.config();
  config.subnet = "10.99.0.0/29";  // pods: .2 to .6
  auto network = make_network(config);
  for (const auto* expected : {"10.99.0.2", "10.99.0.3", "10.99.0.4"}) {
    CHECK(address_of(*network, world.request("pod")) == expected);
    REQUIRE_OK(network->tear_down("pod"));
  }
  network = make_network(config);
  for (const auto* expected : {"10.99.0.5", "10.99.0.6", "10.99.0.2"}) {
    CHECK(address_of(*network, world.request("pod")) == expected);
    REQUIRE_OK(network->tear_down("pod"));
  }
}

TEST_CASE("a host port that another pod has is refused with that pod's name") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  REQUIRE_OK(network->set_up(world.request("first", {publish(8080, 80)})));
  const auto before = world.leftovers();
  const auto second = network->set_up(world.request("second", {publish(8080, 81)}));
  REQUIRE(!second.has_value());
  CHECK(second.error().kind() == Kind::exists);
  CHECK(second.error().to_string().find("host port 8080/tcp is already published by pod \"default/first\"") !=
        std::string::npos);
  CHECK(world.leftovers() == before);
  CHECK_OK(network->set_up(world.request("third", {publish(8080, 80, "udp")})));
}

TEST_CASE("twenty pods at once over two engines: every address once, all reachable, nothing left in the end") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto one = make_network(world.config());
  const auto two = make_network(world.config());  // as another process would
  REQUIRE(one->not_ready_reason().empty());
  const auto before = world.leftovers();
  constexpr int kPods = 20;
  std::vector<PodRequest> requests;
  for (int i = 0; i < kPods; ++i)
    requests.push_back(world.request(format_text("pod{}", i), {publish(static_cast<std::uint16_t>(8000 + i), 80)}));
  std::vector<Result<Attachment>> results(kPods, Error{Kind::internal, "not run"});
  {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kPods; ++i)
      threads.emplace_back([&, i] { results[i] = (i % 2 == 0 ? one : two)->set_up(requests[i]); });
    for (auto& thread : threads) thread.join();
  }
  std::set<std::string> addresses;
  for (const auto& result : results) {
    REQUIRE_OK(result);
    addresses.insert(result.value().addresses.front());
  }
  CHECK(addresses.size() == kPods);
  CHECK(count_elements() == kPods);
  for (std::size_t i = 0; i < kPods; ++i) {
    const Server server{requests[i].netns_path, requests[i].pod_id, Transport::tcp, 80};
    CHECK(ask({.address = "127.0.0.1", .port = static_cast<std::uint16_t>(8000 + i)}) ==
          requests[i].pod_id + " 10.88.0.1");
  }
  std::vector<Status> ended(kPods, ok());
  {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kPods; ++i)
      threads.emplace_back([&, i] { ended[i] = (i % 2 == 0 ? two : one)->tear_down(requests[i].pod_id); });
    for (auto& thread : threads) thread.join();
  }
  for (const auto& status : ended) CHECK_OK(status);
  CHECK(world.leftovers() == before);
}

TEST_CASE("many calls for one pod at once act as one") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  const auto request = world.request("web", {publish(8080, 80)});
  std::vector<Result<Attachment>> results(8, Error{Kind::internal, "not run"});
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = network->set_up(request); });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) {
    REQUIRE_OK(result);
    CHECK(result.value().addresses.front() == "10.88.0.2");
  }
}

TEST_CASE("a failure before any step of set_up leaves nothing of the pod") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  for (const auto step : kSteps) {
    CAPTURE(static_cast<int>(step));
    const auto network = make_network(world.config(), [step](Step at) -> Status {
      if (at == step) return Error{Kind::internal, "stopped by the test"};
      return ok();
    });
    REQUIRE(network->not_ready_reason().empty());
    const auto before = world.leftovers();
    const auto result = network->set_up(world.request("web", {publish(8080, 80), publish(53, 53, "udp")}));
    REQUIRE(!result.has_value());
    CHECK(result.error().to_string() == "connect pod \"default/web\" (web): stopped by the test");
    CHECK(world.leftovers() == before);
    CHECK(command(world.netns("web"), {"ip", "-o", "link"}).find("eth0") == std::string::npos);
  }
}

TEST_CASE("kill -9 before any step of set_up: garbage collection by the next engine leaves nothing") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  REQUIRE(make_network(world.config())->not_ready_reason().empty());
  const auto before = world.leftovers();
  for (const auto step : kSteps) {
    CAPTURE(static_cast<int>(step));
    const auto request = world.request("web", {publish(8080, 80)});
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto network = BridgeNetwork::create(world.config(), [step](Step at) -> Status {
        if (at == step) (void)::kill(::getpid(), SIGKILL);
        return ok();
      });
      if (network.has_value()) (void)network.value()->set_up(request);
      ::_exit(1);
    }
    const auto ended = sys::waitpid(child);
    REQUIRE_OK(ended);
    CHECK(ended.value().signal == SIGKILL);
    const auto network = make_network(world.config());
    REQUIRE_OK(network->collect_garbage({}));
    CHECK(world.leftovers() == before);
    CHECK(address_of(*network, request).starts_with("10.88.0."));
    REQUIRE_OK(network->tear_down("web"));
  }
}

TEST_CASE("real faults: each is one clear error and leaves nothing") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto network = make_network(world.config());
  REQUIRE(network->not_ready_reason().empty());
  auto request = world.request("web", {publish(8080, 80)});
  std::string expected;
  SUBCASE("the namespace path does not exist") {
    request.netns_path = world.netns("missing");
    expected = "No such file or directory";
  }
  SUBCASE("the namespace path is a plain file") {
    request.netns_path = world.netns("plain");
    REQUIRE_OK(write_atomically(AT_FDCWD, request.netns_path, ""));
    expected = "is not a network namespace";
  }
  SUBCASE("the namespace path is another kind of namespace") {
    request.netns_path = "/proc/self/ns/uts";
    expected = "setns";
  }
  SUBCASE("the namespace has an eth0 already") {
    command(request.netns_path, {"ip", "link", "add", "eth0", "type", "bridge"});
    expected = "the namespace already has an interface \"eth0\"";
  }
  SUBCASE("the namespace has a default route already") {
    command(request.netns_path, {"ip", "route", "add", "default", "dev", "lo"});
    expected = "RTM_NEWROUTE default via 10.88.0.1";
  }
  SUBCASE("the pod id is a path") {
    request.pod_id = "../web";
    expected = "../web";
  }
  SUBCASE("a protocol nobody knows") {
    request.ports = {publish(8080, 80, "icmp")};
    expected = "protocol \"icmp\" is unknown";
  }
  SUBCASE("the records' directory is gone") {
    REQUIRE_OK(remove_tree(AT_FDCWD, world.state_dir()));
    expected = "lock network records";
  }
  const auto before = world.leftovers();
  const auto result = network->set_up(request);
  REQUIRE(!result.has_value());
  CAPTURE(result.error().to_string());
  CHECK(result.error().to_string().find(expected) != std::string::npos);
  CHECK(world.leftovers() == before);
}

TEST_CASE("a configuration that cannot work is refused with the reason") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  SUBCASE("the subnet overlaps a route of the host") {
    auto config = world.config();
    config.subnet = "192.0.0.0/16";
    const auto network = make_bridge_network(config);
    REQUIRE(!network.has_value());
    CHECK(network.error().kind() == Kind::invalid);
    CHECK(network.error().to_string().find("192.0.0.0/16 overlaps the host's route to 192.0.2.0/24 through \"uplink0\"") !=
          std::string::npos);
  }
  SUBCASE("a route that comes later is found before the bridge is made") {
    const auto network = make_network(world.config());
    command("", {"ip", "route", "add", "10.88.5.0/24", "via", kOutsideAddress});
    CHECK(network->not_ready_reason().find("10.88.5.0/24") != std::string::npos);
    CHECK(without(world.leftovers(), "link husk0") == world.leftovers());
  }
  SUBCASE("the bridge's name belongs to another interface") {
    command("", {"ip", "link", "add", "husk0", "type", "veth", "peer", "name", "husk1"});
    const auto network = make_network(world.config());
    CHECK(network->not_ready_reason().find("exists and is not a bridge but \"veth\"") != std::string::npos);
    CHECK(!network->set_up(world.request("web")).has_value());
    CHECK(command("", {"ip", "link", "show", "husk0"}).find("husk0") != std::string::npos);
  }
  SUBCASE("the state directory cannot be made") {
    auto config = world.config();
    REQUIRE_OK(write_atomically(AT_FDCWD, world.netns("file"), ""));
    config.state_dir = world.netns("file") + "/state";
    CHECK(make_bridge_network(config).error().to_string().find("create network state directory") != std::string::npos);
  }
}

TEST_CASE("the shared parts go when no pod is left, and not before") {
  if (!can_run()) HUSK_SKIP("needs root, ip and nsenter");
  const World world;
  const auto before = world.leftovers();
  const auto network = make_network(world.config());
  REQUIRE_OK(network->set_up(world.request("web", {publish(8080, 80)})));
  REQUIRE_OK(network->remove_when_unused());
  const Server server{world.netns("web"), "web", Transport::tcp, 80};
  CHECK(ask({.address = "127.0.0.1", .port = 8080}) == "web 10.88.0.1");
  REQUIRE_OK(network->tear_down("web"));
  REQUIRE_OK(network->remove_when_unused());
  CHECK(world.leftovers() == before);
  CHECK(address_of(*network, world.request("again")) == "10.88.0.3");
}

}  // namespace husk::netns::test
