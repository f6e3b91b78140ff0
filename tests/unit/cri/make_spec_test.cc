#include <algorithm>
#include <functional>

#include "cri/make_spec.h"
#include "harness/harness.h"
#include "oci-spec/parse_config.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT

namespace {

struct Case {
  ContainerConfig config;
  PodRecord pod;
  images::ImageConfig image;
  HostFacts host;
  PodFiles files{.hosts = "/s/hosts", .hostname = "/s/hostname", .resolv_conf = "/s/resolv.conf", .shm = "/s/shm"};
  std::vector<ResolvedMount> mounts;
  std::vector<ResolvedDevice> devices;
  std::optional<oci::Seccomp> seccomp;
  ResolvedUser user;

  Case() {
    config.name = "server";
    config.namespaces.pid = NamespaceMode::container;
    config.command = {"/bin/httpd"};
    pod.id = std::string(64, 'a');
    pod.hostname = "web";
    pod.cgroup_parent = "/kubepods/pod1";
    pod.pause_pid = 42;
    user.ids = {.uid = 1000, .gid = 1000, .groups = {1000, 5}};
  }
  Result<oci::Spec> make() const {
    return make_container_spec({.config = config, .pod = pod, .image = image, .id = "c1", .rootfs = "/r", .files = files, .user = user,
                                .mounts = mounts, .devices = devices, .netns_path = "/run/husk/netns/a", .target_pid = 77, .seccomp = seccomp},
                               host);
  }
  oci::Spec spec() const {
    auto made = make();
    REQUIRE_OK(made);
    return std::move(made).value();
  }
};

std::string path_of(const oci::Spec& spec, oci::NamespaceType type) {
  const auto* found = spec.find_namespace(type);
  return found == nullptr ? "host" : found->path.empty() ? "new" : found->path;
}

const oci::Mount* mount_at(const oci::Spec& spec, std::string_view destination) {
  const auto at = std::ranges::find(spec.mounts, destination, &oci::Mount::destination);
  return at == spec.mounts.end() ? nullptr : &*at;
}

bool has(const std::vector<std::string>& items, std::string_view item) { return std::ranges::find(items, item) != items.end(); }

}  // namespace

TEST_CASE("config.md: what make_spec writes is a config.json that husk accepts") {
  Case item;
  item.config.mounts = {{.container_path = "/data", .host_path = "/srv"}};
  item.mounts = {{.request = item.config.mounts[0], .source = "/srv"}};
  item.config.resources = {.cpu_period = 100'000, .cpu_quota = 50'000, .cpu_shares = 512, .memory_limit = 64 << 20};
  item.host.swap_accounting = true;
  item.seccomp = default_seccomp({});
  const auto text = oci::write_config(item.spec());
  CHECK_OK(oci::parse_config(text));
  const auto sandbox = make_sandbox_spec({.config = {}, .id = "p", .hostname = "web", .rootfs = "/pause", .netns_path = "/n", .cgroup_parent = "/k", .seccomp = default_seccomp({})}, {});
  REQUIRE_OK(sandbox);
  CHECK_OK(oci::parse_config(oci::write_config(sandbox.value())));
}

TEST_CASE("config-linux.md#namespaces: pods share network, IPC and hostname; pid as asked") {
  using enum oci::NamespaceType;
  struct Row {
    NamespaceMode mine;
    NamespaceMode of_pod;
    std::string_view pid;
  };
  for (const auto& row : {Row{NamespaceMode::container, NamespaceMode::container, "new"}, Row{NamespaceMode::pod, NamespaceMode::pod, "/proc/42/ns/pid"},
                          Row{NamespaceMode::node, NamespaceMode::node, "host"}, Row{NamespaceMode::pod, NamespaceMode::node, "host"},
                          Row{NamespaceMode::target, NamespaceMode::container, "/proc/77/ns/pid"}}) {
    Case item;
    item.config.namespaces.pid = row.mine;
    item.pod.namespaces.pid = row.of_pod;
    const auto spec = item.spec();
    CHECK(path_of(spec, oci::NamespaceType::pid) == row.pid);
    CHECK(path_of(spec, network) == "/run/husk/netns/a");
    CHECK(path_of(spec, uts) == "/proc/42/ns/uts");
    CHECK(path_of(spec, ipc) == "/proc/42/ns/ipc");
    CHECK(path_of(spec, mount) == "new");
    CHECK(path_of(spec, user) == "host");
  }
}

TEST_CASE("cri-api NamespaceOption: the host's network means the host's hostname; the host's IPC its /dev/shm") {
  using enum oci::NamespaceType;
  Case item;
  item.pod.namespaces.network = NamespaceMode::node;
  item.pod.namespaces.ipc = NamespaceMode::node;
  const auto spec = item.spec();
  CHECK(path_of(spec, network) == "host");
  CHECK(path_of(spec, uts) == "host");
  CHECK(path_of(spec, ipc) == "host");
}

TEST_CASE("a container cannot ask for a namespace of the host that its pod has not") {
  for (const auto field : {&NamespaceOptions::network, &NamespaceOptions::pid, &NamespaceOptions::ipc}) {
    Case item;
    item.config.namespaces.*field = NamespaceMode::node;
    CHECK_FALSE(item.make().has_value());
    item.pod.namespaces.*field = NamespaceMode::node;
    CHECK_OK(item.make());
  }
  Case item;
  item.config.privileged = true;
  CHECK_FALSE(item.make().has_value());
  item.pod.privileged = true;
  CHECK_OK(item.make());
}

TEST_CASE("config.md#process: command and args override ENTRYPOINT and CMD as in a Dockerfile") {
  using Words = std::vector<std::string>;
  struct Row {
    Words command;
    Words args;
    Words entrypoint;
    Words cmd;
    Words expected;
  };
  const std::vector<Row> rows{{{}, {}, {"e"}, {"c"}, {"e", "c"}}, {{"x"}, {}, {"e"}, {"c"}, {"x"}}, {{"x"}, {"y"}, {"e"}, {"c"}, {"x", "y"}},
                              {{}, {"y"}, {"e"}, {"c"}, {"e", "y"}}, {{}, {"y"}, {}, {"c"}, {"y"}}, {{}, {}, {}, {"c"}, {"c"}}};
  for (const auto& row : rows) {
    Case item;
    item.config.command = row.command;
    item.config.args = row.args;
    item.image.entrypoint = row.entrypoint;
    item.image.cmd = row.cmd;
    CHECK(item.spec().process->args == row.expected);
  }
  Case empty;
  empty.config.command.clear();
  CHECK_FALSE(empty.make().has_value());
}

TEST_CASE("environment: defaults, then the image's, then the request's, each name once") {
  Case item;
  item.image.env = {"PATH=/image", "A=image", "EMPTY"};
  item.config.env = {"A=request", "B==x"};
  item.user.home = "/home/user";
  const auto env = item.spec().process->env;
  CHECK(env == std::vector<std::string>{"PATH=/image", "HOSTNAME=web", "HOME=/home/user", "A=request", "EMPTY", "B==x"});
  item.config.tty = true;
  CHECK(has(item.spec().process->env, "TERM=xterm"));
  CHECK(item.spec().process->terminal);
}

TEST_CASE("working directory: the request's, the image's, the root") {
  Case item;
  CHECK(item.spec().process->cwd == "/");
  item.image.working_dir = "srv";
  CHECK(item.spec().process->cwd == "/srv");
  item.config.working_dir = "/work";
  CHECK(item.spec().process->cwd == "/work");
}

TEST_CASE("config.md#mounts: pod files are mounted unless the request mounts there; a read-only root makes them read-only") {
  Case item;
  auto spec = item.spec();
  for (const auto* path : {"/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup", "/dev/shm", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
    CHECK(mount_at(spec, path) != nullptr);
  CHECK(has(mount_at(spec, "/sys")->options, "ro"));
  CHECK(has(mount_at(spec, "/etc/hosts")->options, "rw"));
  item.config.readonly_rootfs = true;
  item.mounts = {{.request = {.container_path = "//etc/./hosts/"}, .source = "/kubelet/hosts"}};
  spec = item.spec();
  CHECK(spec.root->readonly);
  CHECK(has(mount_at(spec, "/etc/hostname")->options, "ro"));
  CHECK(mount_at(spec, "/etc/hosts")->source == "/kubelet/hosts");
  CHECK(std::ranges::count(spec.mounts, "/etc/hosts", &oci::Mount::destination) == 1);
}

TEST_CASE("config-linux.md#rootfs-mount-propagation: propagation of a mount needs that of the root") {
  struct Row {
    Propagation propagation;
    const char* option;
    const char* root;
  };
  for (const auto& row : {Row{Propagation::none, "rprivate", ""}, Row{Propagation::host_to_container, "rslave", "rslave"},
                          Row{Propagation::bidirectional, "rshared", "rshared"}}) {
    Case item;
    item.mounts = {{.request = {.container_path = "/m", .host_path = "/h", .propagation = row.propagation}, .source = "/h"}};
    const auto spec = item.spec();
    CHECK(has(mount_at(spec, "/m")->options, row.option));
    CHECK(spec.linux.rootfs_propagation == row.root);
  }
}

TEST_CASE("mounts: ro, rro and rw; parents come before children") {
  Case item;
  item.mounts = {{.request = {.container_path = "/a/b/c", .readonly = true}, .source = "/1"},
                 {.request = {.container_path = "/a", .readonly = true, .recursive_read_only = true}, .source = "/2"},
                 {.request = {.container_path = "/a/b"}, .source = "/3"}};
  const auto spec = item.spec();
  CHECK(has(mount_at(spec, "/a/b/c")->options, "ro"));
  CHECK(has(mount_at(spec, "/a")->options, "rro"));
  CHECK_FALSE(has(mount_at(spec, "/a")->options, "ro"));
  CHECK(has(mount_at(spec, "/a/b")->options, "rw"));
  CHECK(mount_at(spec, "/a") < mount_at(spec, "/a/b"));
  CHECK(mount_at(spec, "/a/b") < mount_at(spec, "/a/b/c"));
}

TEST_CASE("privileged: all capabilities that we have, all devices, no seccomp, nothing masked, writable /sys") {
  Case item;
  item.config.privileged = item.pod.privileged = true;
  item.config.masked_paths = {"/proc/kcore"};
  item.config.readonly_paths = {"/proc/sys"};
  item.seccomp = default_seccomp({});
  item.host.capabilities.available = {"CAP_CHOWN", "CAP_SYS_ADMIN"};
  const auto spec = item.spec();
  CHECK(spec.process->capabilities->bounding == std::vector<std::string>{"CAP_CHOWN", "CAP_SYS_ADMIN"});
  CHECK(spec.linux.masked_paths.empty());
  CHECK(spec.linux.readonly_paths.empty());
  CHECK_FALSE(spec.linux.seccomp.has_value());
  REQUIRE(spec.linux.resources.devices.size() == 1);
  CHECK(spec.linux.resources.devices[0].allow);
  CHECK(spec.linux.resources.devices[0].type == 'a');
  CHECK(has(mount_at(spec, "/sys")->options, "rw"));
}

TEST_CASE("masked and read-only paths are those of the request; none means unmasked") {
  Case item;
  CHECK(item.spec().linux.masked_paths.empty());
  item.config.masked_paths = {"/proc/kcore"};
  item.config.readonly_paths = {"/proc/sys"};
  CHECK(item.spec().linux.masked_paths == item.config.masked_paths);
  CHECK(item.spec().linux.readonly_paths == item.config.readonly_paths);
}

TEST_CASE("config-linux.md#allowed-device-list: everything is denied but the default devices and those asked for") {
  Case item;
  item.devices = {{.device = {.type = 'c', .path = "/dev/fuse", .major = 10, .minor = 229}, .access = "rw"}};
  const auto spec = item.spec();
  const auto& rules = spec.linux.resources.devices;
  CHECK_FALSE(rules.front().allow);
  CHECK(rules.front().type == 'a');
  CHECK(rules.back().major == 10);
  CHECK(rules.back().access == "rw");
  REQUIRE(spec.linux.devices.size() == 1);
  CHECK(spec.linux.devices[0].path == "/dev/fuse");
}

TEST_CASE("config-linux.md#memory and #cpu: zero is not given; a memory limit alone forbids swap where swap is counted") {
  HostFacts host;
  CHECK_FALSE(plan_resources({}, host).cpu.has_value());
  CHECK_FALSE(plan_resources({}, host).memory.has_value());
  const Resources limits{.cpu_period = 100'000, .cpu_quota = -1, .cpu_shares = 2, .memory_limit = 1000, .unified = {{"memory.oom.group", "1"}}};
  auto plan = plan_resources(limits, host);
  CHECK(plan.cpu->quota == -1);
  CHECK(plan.cpu->period == 100'000U);
  CHECK(plan.cpu->shares == 2U);
  CHECK(plan.memory->limit == 1000);
  CHECK_FALSE(plan.memory->swap.has_value());
  CHECK(plan.unified == limits.unified);
  CHECK_FALSE(plan.pids_limit.has_value());
  host.swap_accounting = true;
  host.pids_limit = 100;
  plan = plan_resources(limits, host);
  CHECK(plan.memory->swap == 1000);
  CHECK(plan.pids_limit == 100);
}

TEST_CASE("the cgroup of a container is <cgroup_parent>/<id>") {
  PodRecord pod;
  pod.cgroup_parent = "/kubepods/burstable/pod1";
  CHECK(container_cgroup(pod.cgroup_parent, "c1", {}) == "/kubepods/burstable/pod1/c1");
  pod.cgroup_parent = "/";
  CHECK(container_cgroup(pod.cgroup_parent, "c1", {}) == "/c1");
}

TEST_CASE("systemd driver: a container's cgroup is <slice>:<prefix>:<id> below kubelet's parent") {
  const HostFacts host{.systemd_cgroup = true, .scope_prefix = "cri-husk"};
  CHECK(container_cgroup("/kubepods.slice/kubepods-pod1.slice", "c1", host) == "kubepods-pod1.slice:cri-husk:c1");
  CHECK(container_cgroup("/system.slice", "c1", host) == "system.slice:cri-husk:c1");
}

TEST_CASE("a parent must have the form of the driver; the error shows the right one") {
  const HostFacts systemd{.systemd_cgroup = true};
  for (const std::string parent : {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice", "/system.slice", "machine.slice"}) {
    CAPTURE(parent);
    CHECK_OK(check_parent_form(parent, systemd));
    const auto other = check_parent_form(parent, {});
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().to_string().find("/kubepods/burstable/pod1") != std::string::npos);
  }
  for (const std::string parent : {"/kubepods/burstable/pod1", "/", "/kubepods.slice/pod1.slice", "/kubepods-pod1.slice", "/a--b.slice", "/a.slice/"}) {
    CAPTURE(parent);
    const auto refused = check_parent_form(parent, systemd);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().to_string().find("/kubepods.slice/kubepods-burstable.slice/") != std::string::npos);
  }
  CHECK_OK(check_parent_form("/kubepods/burstable/pod1", {}));
}

TEST_CASE("OOM scores never go below what this process may set") {
  Case item;
  item.config.resources.oom_score_adj = -997;
  CHECK(item.spec().process->oom_score_adj == -997);
  item.host.lowest_oom_score_adj = 0;
  CHECK(item.spec().process->oom_score_adj == 0);
  item.config.resources.oom_score_adj = 999;
  CHECK(item.spec().process->oom_score_adj == 999);
}

TEST_CASE("sandbox: read-only pause without capabilities, with the pod's namespaces and IPC sysctls") {
  using enum oci::NamespaceType;
  PodConfig config;
  config.namespaces.pid = NamespaceMode::container;
  config.sysctls = {{"kernel.shm_rmid_forced", "1"}, {"net.core.somaxconn", "64"}};
  const auto made = make_sandbox_spec({.config = config, .id = "p", .hostname = "web", .rootfs = "/pause", .netns_path = "/n", .cgroup_parent = "/k"}, {});
  REQUIRE_OK(made);
  const auto& spec = made.value();
  CHECK(spec.root->readonly);
  CHECK(spec.process->capabilities->bounding.empty());
  CHECK(spec.process->no_new_privileges);
  CHECK(spec.hostname == "web");
  CHECK(spec.linux.sysctl == StringMap{{"kernel.shm_rmid_forced", "1"}});
  CHECK(spec.linux.cgroups_path == "/k/p");
  CHECK(path_of(spec, network) == "/n");
  for (const auto type : {uts, ipc, pid, mount}) CHECK(path_of(spec, type) == "new");

  config.sysctls.clear();
  config.namespaces = {.network = NamespaceMode::node, .pid = NamespaceMode::node, .ipc = NamespaceMode::node};
  const auto host = make_sandbox_spec({.config = config, .id = "p", .hostname = "web", .rootfs = "/pause", .cgroup_parent = "/k"}, {});
  REQUIRE_OK(host);
  for (const auto type : {network, uts, ipc, pid}) CHECK(path_of(host.value(), type) == "host");
  CHECK(host.value().hostname.empty());
  config.namespaces.pid = NamespaceMode::target;
  CHECK_FALSE(make_sandbox_spec({.config = config, .id = "p"}, {}).has_value());
}

TEST_CASE("sysctls: namespaced keys only, and only in namespaces that the pod has for itself") {
  struct Row {
    const char* key;
    bool allowed;
    bool allowed_host_network;
    bool allowed_host_ipc;
  };
  for (const auto& row : {Row{"net.ipv4.tcp_syncookies", true, false, true}, Row{"kernel.shmmax", true, true, false}, Row{"kernel.msgmax", true, true, false},
                          Row{"kernel.sem", true, true, false}, Row{"fs.mqueue.msg_max", true, true, false}, Row{"kernel.core_pattern", false, false, false},
                          Row{"vm.swappiness", false, false, false}, Row{"kernel.hostname", false, false, false}, Row{"", false, false, false},
                          Row{"net..core", false, false, false}, Row{"net.core/../../kernel", false, false, false}}) {
    CAPTURE(row.key);
    PodConfig config;
    config.sysctls = {{row.key, "1"}};
    CHECK(plan_sysctls(config, true, true).has_value() == row.allowed);
    config.namespaces.network = NamespaceMode::node;
    CHECK(plan_sysctls(config, true, true).has_value() == row.allowed_host_network);
    config.namespaces = {.ipc = NamespaceMode::node};
    CHECK(plan_sysctls(config, true, true).has_value() == row.allowed_host_ipc);
  }
}

TEST_CASE("sysctls: unprivileged ports and ping are the default, a request wins, the host's network stays alone") {
  PodConfig config;
  auto plan = plan_sysctls(config, true, true).value();
  CHECK(plan.network == StringMap{{"net.ipv4.ip_unprivileged_port_start", "0"}, {"net.ipv4.ping_group_range", "0 2147483647"}});
  CHECK(plan_sysctls(config, false, false).value().network.empty());
  config.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
  plan = plan_sysctls(config, true, false).value();
  CHECK(plan.network == StringMap{{"net.ipv4.ip_unprivileged_port_start", "80"}});
  config.sysctls.clear();
  config.namespaces.network = NamespaceMode::node;
  CHECK(plan_sysctls(config, true, true).value().network.empty());
}

TEST_CASE("STOPSIGNAL: numbers, names, real-time signals; nothing else") {
  struct Row {
    const char* text;
    int number;  // 0: refused
  };
  for (const auto& row : {Row{"15", 15}, Row{"TERM", 15}, Row{"SIGTERM", 15}, Row{"sigquit", 3}, Row{"SIGRTMIN", 34}, Row{"SIGRTMIN+3", 37}, Row{"RTMAX-1", 63},
                          Row{"64", 64}, Row{"65", 0}, Row{"0", 0}, Row{"-9", 0}, Row{"", 0}, Row{"SIGRTMIN+31", 0}, Row{"SIGRTMIN+", 0}, Row{"SIGNOPE", 0}, Row{"9x", 0}}) {
    CAPTURE(row.text);
    const auto number = parse_signal(row.text);
    CHECK(number.has_value() == (row.number != 0));
    if (row.number != 0 && number.has_value()) CHECK(number.value() == row.number);
  }
}

TEST_CASE("config-linux.md#seccomp: the default profile allows everyday calls, and more only with its capability") {
  const auto allows = [](const oci::Seccomp& profile, std::string_view call) {
    return std::ranges::any_of(profile.syscalls, [&](const oci::SeccompRule& rule) {
      return rule.action == "SCMP_ACT_ALLOW" && rule.args.empty() && std::ranges::find(rule.names, call) != rule.names.end();
    });
  };
  const auto plain = default_seccomp({.bounding = default_capabilities()});
  for (const auto* call : {"read", "execve", "clock_nanosleep", "futex", "openat2", "chroot", "faccessat2", "rseq"}) CHECK(allows(plain, call));
  for (const auto* call : {"mount", "umount2", "unshare", "setns", "bpf", "kexec_load", "init_module", "reboot", "add_key", "keyctl", "io_uring_setup",
                           "userfaultfd", "swapon", "settimeofday", "open_by_handle_at", "perf_event_open", "iopl", "clone", "clone3", "personality", "socket"})
    CHECK_FALSE(allows(plain, call));
  const auto admin = default_seccomp({.bounding = {"CAP_SYS_ADMIN", "CAP_SYS_TIME"}});
  for (const auto* call : {"mount", "unshare", "clone", "clone3", "settimeofday"}) CHECK(allows(admin, call));
  for (const auto* call : {"chroot", "init_module", "kexec_load"}) CHECK_FALSE(allows(admin, call));
  for (const auto& name : plain.syscalls.front().names) CHECK_FALSE(name.empty());
}

TEST_CASE("a Localhost profile is an OCI seccomp object; anything else is refused with its name") {
  CHECK_OK(parse_seccomp_profile(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]})", "p"));
  for (const auto* text : {"", "[]", "{", R"({"defaultAction":"SCMP_ACT_NOPE"})", R"({"defaultAction":1})"}) {
    CAPTURE(text);
    const auto profile = parse_seccomp_profile(text, "/profiles/p.json");
    REQUIRE_FALSE(profile.has_value());
    CHECK(profile.error().to_string().find("/profiles/p.json") != std::string::npos);
  }
}

TEST_CASE("man 7 capabilities: defaults, ALL, add, drop, ambient") {
  using Names = std::vector<std::string>;
  CapabilitySets sets;
  sets.defaults = {"CAP_CHOWN", "CAP_KILL"};
  sets.available = {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"};
  const auto plan = [&](CapabilityChanges changes, bool privileged = false) {
    auto made = plan_capabilities(sets, changes, privileged);
    REQUIRE_OK(made);
    return std::move(made).value();
  };
  CHECK(plan({}).effective == Names{"CAP_CHOWN", "CAP_KILL"});
  CHECK(plan({.add = {"net_raw"}}).bounding == Names{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"});
  CHECK(plan({.drop = {"CAP_KILL"}}).permitted == Names{"CAP_CHOWN"});
  CHECK(plan({.add = {"ALL"}}).bounding == sets.available);
  CHECK(plan({.drop = {"all"}}).bounding.empty());
  CHECK(plan({.add = {"KILL"}, .drop = {"ALL"}}).bounding == Names{"CAP_KILL"});
  CHECK(plan({.add = {"ALL"}, .drop = {"KILL"}}).bounding == Names{"CAP_CHOWN", "CAP_NET_RAW"});
  CHECK(plan({.drop = {"ALL"}}, true).bounding == sets.available);
  CHECK(plan({}).inheritable.empty());
  const auto ambient = plan({.add_ambient = {"NET_RAW"}});
  CHECK(ambient.ambient == Names{"CAP_NET_RAW"});
  CHECK(ambient.inheritable == Names{"CAP_NET_RAW"});
  CHECK(has(ambient.permitted, "CAP_NET_RAW"));
  CHECK_FALSE(plan_capabilities(sets, {.drop = {"CAP_FLY"}}, false).has_value());
}

TEST_CASE("man 5 proc: our own bounding set limits what ALL means") {
  CHECK(parse_bounding_set("Name:\tx\nCapBnd:\t0000000000000003\n") == std::vector<std::string>{"CAP_CHOWN", "CAP_DAC_OVERRIDE"});
  CHECK(parse_bounding_set("CapBnd:\t000001ffffffffff\n") == all_capabilities());
}
