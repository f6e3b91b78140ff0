// linux.netDevices, in a network namespace of the test's own.
#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

bool has_ip() { return path_exists("/sbin/ip") || path_exists("/usr/sbin/ip") || path_exists("/bin/ip"); }

#define REQUIRE_DEVICES()                                      \
  REQUIRE_E2E();                                               \
  if (!has_ip()) HUSK_SKIP("needs iproute2")

std::string device_bundle(Bench& bench, const std::vector<oci::NetDevice>& devices) {
  return bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) { spec.linux.net_devices = devices; });
}

std::string said(const Output& done) { return done.out + done.err; }

// In a fresh network namespace with v0 (addresses, MTU, MAC), its peer v1 and a macvlan mv0 on it. `husk` is the
// program, `show DEVICE` tells what must be the same afterwards.
Output in_network(Bench& bench, const std::string& script) {
  const auto text = "husk() { " + husk_binary() + " --root " + bench.root() + " \"$@\"; }\n"
      "show() { ip -o link show dev $1 | sed 's/ qlen.*link/ link/'; ip -o addr show dev $1 scope global; }\n"
      "inside() { pid=$(husk state $1 | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); shift; nsenter -t $pid -n \"$@\"; }\n"
      "set -e\nip link set lo up\nip link add v0 type veth peer name v1\nip link set v1 up\n"
      "ip link set v0 mtu 1400 address 02:00:00:00:00:07\nip addr add 192.0.2.9/24 broadcast 192.0.2.255 dev v0 label v0:web\n"
      "ip addr add 192.0.2.10/24 dev v0\nip addr add 2001:db8::5/64 dev v0 nodad\nip addr add 198.51.100.1/32 scope link dev v0\nip link set v0 up\n"
      "ip link add link v1 name mv0 type macvlan mode bridge\nip addr add 203.0.113.4/28 dev mv0\n" + script;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("script"), text));
  return bench.shell("exec unshare -n -m --propagation private sh " + bench.path("script"));
}

}  // namespace

TEST_CASE("config-linux.md#configLinuxNetworkDevices: veth and macvlan come into the container with names, addresses, MTU and MAC, up") {
  REQUIRE_DEVICES();
  Bench bench;
  const auto bundle = device_bundle(bench, {{.host_name = "v0", .name = "data"}, {.host_name = "mv0", .name = "mac%d"}});
  // The kernel tells the state of a link a moment after it is up (linkwatch).
  const auto settle = "for i in $(seq 100); do inside " + bench.id() + " ip addr | grep -q 'state DOWN' || break; sleep 0.05; done\n";
  const auto done = in_network(bench, "husk run -d -b " + bundle + " " + bench.id() + "\n" + settle + "inside " + bench.id() + " ip addr\n"
                                      "! ip link show v0 2>/dev/null\n! ip link show mv0 2>/dev/null\nhusk delete -f " + bench.id() +
                                      "\n! ip link show v0 2>/dev/null\necho end\n");
  CAPTURE(done.err);
  for (const auto* part : {" data@", "mtu 1400", "link/ether 02:00:00:00:00:07", "inet 192.0.2.9/24 brd 192.0.2.255 scope global data:web",
                           "inet 192.0.2.10/24", "inet6 2001:db8::5/64 scope global nodad", " mac0@", "inet 203.0.113.4/28", "\nend\n"})
    CHECK_MESSAGE(contains(done.out, part), done.out);
  CHECK_FALSE(contains(done.out, "198.51.100.1"));  // scope link: not a permanent global address
  CHECK_FALSE(contains(done.out, "state DOWN"));
}

TEST_CASE("config-linux.md#configLinuxNetworkDevices: a create that fails or is killed leaves the devices as they were") {
  REQUIRE_DEVICES();
  for (const auto* fault : {"HUSK_FAIL_AT=net-devices", "HUSK_FAIL_AT=commit", "HUSK_KILL_AT=commit"}) {
    CAPTURE(fault);
    Bench bench;
    const auto bundle = device_bundle(bench, {{.host_name = "v0", .name = "data"}, {.host_name = "mv0", .name = "mac%d"}});
    const auto done = in_network(bench, "before=$(show v0; show mv0)\nexport " + std::string{fault} + "\nhusk create -b " + bundle + " " + bench.id() + " && echo made || true\n"
                                        "unset HUSK_FAIL_AT HUSK_KILL_AT\n"
                                        "for i in $(seq 100); do [ \"$before\" = \"$(show v0 2>&1; show mv0 2>&1)\" ] && echo same && break; sleep 0.05; done\n"
                                        "[ $i -lt 100 ] || { echo \"$before\"; show v0; show mv0; }\n");
    CHECK_MESSAGE(done.out == "same\n", said(done));
  }
}

TEST_CASE("config-linux.md#configLinuxNetworkDevices: a name that is taken, a device that is missing, and bridges are errors without effect") {
  REQUIRE_DEVICES();
  struct Row {
    std::vector<oci::NetDevice> devices;
    const char* text;
  };
  for (const auto& row : {Row{{{.host_name = "mv0"}, {.host_name = "v0", .name = "lo"}}, "has a device \"lo\" already"},
                          Row{{{.host_name = "v0"}, {.host_name = "nosuch0"}}, "there is no such network device on the host (hint: "},
                          Row{{{.host_name = "mv0"}, {.host_name = "br0"}}, "RTM_NEWLINK \"br0\" into another network namespace"}}) {
    Bench bench;
    const auto bundle = device_bundle(bench, row.devices);
    const auto done = in_network(bench, "ip link add br0 type bridge\nbefore=$(show v0; show mv0)\nhusk run -d -b " + bundle + " " + bench.id() + " && echo made || true\n"
                                        "[ \"$before\" = \"$(show v0; show mv0)\" ] && echo same\n");
    CHECK_MESSAGE(done.out == "same\n", said(done));
    CHECK_MESSAGE(contains(done.err, row.text), said(done));
    CHECK_MESSAGE(contains(done.err, "/linux/netDevices"), said(done));
  }
}

TEST_CASE("config-linux.md#configLinuxNetworkDevices: a network namespace that is joined gets them too, a plain user's never") {
  REQUIRE_DEVICES();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
    std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::network; });
    spec.linux.namespaces.push_back({.type = oci::NamespaceType::network, .path = bench.path("ns")});
    spec.linux.net_devices = {{.host_name = "v0"}};
  });
  const auto done = in_network(bench, "touch " + bench.path("ns") + "\nunshare --net=" + bench.path("ns") + " true\nhusk run -d -b " + bundle + " " + bench.id() +
                                      "\nnsenter --net=" + bench.path("ns") + " ip -o addr show dev v0\nunshare -U -r " + husk_binary() + " --root " + bench.path("other") +
                                      " run -b " + device_bundle(bench, {{.host_name = "v1"}}) + " other || echo refused\n");
  CHECK_MESSAGE(contains(done.out, "inet 192.0.2.9/24"), said(done));
  CHECK_MESSAGE(contains(done.out, "refused\n"), done.out);
}
