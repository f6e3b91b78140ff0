// Fakes behind the seams of cri: they count what is alive and fail where a test says so.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cri/container_service.h"
#include "cri/node.h"
#include "cri/pod_service.h"
#include "cri/restart.h"
#include "harness/harness.h"

namespace husk::cri::test {

// What exists, and which calls must fail.
struct World {
  std::multiset<std::string> alive;
  std::vector<std::string> calls;
  std::string failing;  // name of the call that fails
  std::map<std::string, Kind> failing_as;  // calls that fail, too, and how
  std::set<std::string> ended;  // containers whose process is gone
  std::map<std::string, std::function<void()>> during;  // runs inside the named call
  std::mutex mutex;

  Status call(const std::string& name) {
    if (const auto at = during.find(name); at != during.end()) at->second();
    const std::lock_guard lock{mutex};
    calls.push_back(name);
    if (const auto at = failing_as.find(name); at != failing_as.end()) return Error{at->second, name + " was made to fail"};
    if (name == failing) return Error{Kind::unavailable, name + " was made to fail"};
    return ok();
  }
  void add(const std::string& what) {
    const std::lock_guard lock{mutex};
    alive.insert(what);
  }
  void drop(const std::string& what) {
    const std::lock_guard lock{mutex};
    alive.erase(what);
  }
  std::string text() {
    const std::lock_guard lock{mutex};
    return join({alive.begin(), alive.end()}, ", ");
  }
  std::size_t count(const std::string& name) {
    const std::lock_guard lock{mutex};
    return static_cast<std::size_t>(std::ranges::count(calls, name));
  }
};

class FakeHost : public Host {
 public:
  explicit FakeHost(World& world) : world_{world} {}
  Status create_netns(const std::string& path, const StringMap&) override {
    TRY(world_.call("host.create_netns"));
    world_.add("netns " + path);
    return ok();
  }
  Status remove_netns(const std::string& path) override {
    world_.drop("netns " + path);
    return ok();
  }
  Status mount_shm(const std::string& path, std::uint64_t) override {
    TRY(world_.call("host.mount_shm"));
    TRY(make_directories(path));
    world_.add("mount " + path);
    return ok();
  }
  Status unmount(const std::string& path) override {
    world_.drop("mount " + path);
    return ok();
  }
  bool has_cgroup(const std::string&) override { return false; }
  Status remove_cgroup(const std::string&) override { return ok(); }
  Result<cgroups::Stats> cgroup_stats(const std::string&) override { return cgroups::Stats{}; }
  Status update_cgroup(const std::string&, const oci::Resources&) override { return world_.call("host.update_cgroup"); }
  Status delete_container(const std::string& id) override {
    TRY(world_.call("host.delete_container"));
    world_.drop("container " + id);
    return ok();
  }
  Status kill_monitor(const std::string& pod_directory) override {
    world_.drop("monitor " + pod_directory.substr(pod_directory.rfind('/') + 1));
    return ok();
  }
  Status kill_creation(const std::string&) override { return world_.call("host.kill_creation"); }
  std::vector<std::string> runtime_containers() override {
    std::vector<std::string> ids;
    const std::lock_guard lock{world_.mutex};
    for (const auto& item : world_.alive)
      if (item.starts_with("container ")) ids.push_back(item.substr(10));
    return ids;
  }
  Result<std::string> resolve_path(const std::string& path, bool create) override {
    if (path.starts_with("/missing") && !create) return Error{Kind::not_found, path + " is missing"};
    return path;
  }
  Result<std::string> propagation_of(const std::string&) override { return propagation; }
  Result<std::vector<ResolvedDevice>> find_devices(const DeviceRequest& request) override {
    std::vector<ResolvedDevice> found;
    found.push_back({.device = {.type = 'c', .path = request.container_path, .major = 10, .minor = 229}, .access = request.permissions});
    return found;
  }
  Result<std::vector<ResolvedDevice>> all_devices() override { return std::vector<ResolvedDevice>{}; }
  std::string propagation = "shared";

 private:
  World& world_;
};

class FakeNetwork : public netns::PodNetwork {
 public:
  explicit FakeNetwork(World& world) : world_{world} {}
  std::string not_ready_reason() override { return {}; }
  Result<netns::Attachment> set_up(const netns::PodRequest& request) override {
    TRY(world_.call("network.set_up"));
    world_.add("address of " + request.pod_id);
    requests.push_back(request);
    return netns::Attachment{.addresses = {"10.88.0.2"}, .interface_name = "eth0", .host_interface = "veth0"};
  }
  Status tear_down(const std::string& pod_id) override {
    TRY(world_.call("network.tear_down"));
    world_.drop("address of " + pod_id);
    return ok();
  }
  Status collect_garbage(const std::vector<std::string>& living) override {
    for (const auto& item : std::multiset<std::string>{world_.alive})
      if (item.starts_with("address of ") && std::ranges::find(living, item.substr(11)) == living.end()) world_.drop(item);
    return ok();
  }
  Result<std::vector<netns::InterfaceStats>> stats(const std::string&) override { return std::vector<netns::InterfaceStats>{}; }
  std::vector<netns::PodRequest> requests;

 private:
  World& world_;
};

class FakePodMonitor : public PodMonitor {
 public:
  FakePodMonitor(World& world, std::string pod_id) : world_{world}, pod_id_{std::move(pod_id)} {}
  void expect_end() override {}
  Answer send(monitor::Request request, const std::vector<int>& descriptors) override {
    std::promise<Result<monitor::Reply>> promise;
    promise.set_value(answer(request, descriptors));
    return promise.get_future();
  }
  static constexpr std::int32_t kPid = 4242;

 private:
  monitor::ContainerInfo info_of(const std::string& id) {
    monitor::ContainerInfo info{.id = id, .phase = monitor::ContainerPhase::running, .pid = kPid};
    info.started_at_ns = 1000;
    if (!world_.ended.contains(id)) return info;
    info.phase = monitor::ContainerPhase::exited;
    info.exit = monitor::ExitRecord{.id = id, .exit_code = 7, .started_at_ns = 1000, .finished_at_ns = 2000};
    return info;
  }
  static monitor::Reply failed(const Error& error) {
    return {.ok = false, .error = error.to_string(), .error_kind = std::string{kind_name(error.kind())}};
  }
  monitor::Reply answer(const monitor::Request& request, const std::vector<int>& descriptors) {
    using monitor::Op;
    monitor::Reply reply;
    const auto named = [&](const char* name) { return request.id == pod_id_ ? format_text("pause.{}", name) : format_text("monitor.{}", name); };
    switch (request.op) {
      case Op::create:
        if (const auto done = world_.call(named("create")); !done.has_value()) return failed(done.error());
        world_.add("container " + request.id);
        reply.containers = {info_of(request.id)};
        break;
      case Op::start:
        if (const auto done = world_.call(named("start")); !done.has_value()) return failed(done.error());
        reply.containers = {info_of(request.id)};
        break;
      case Op::status:
        if (world_.failing == named("status")) world_.ended.insert(request.id);
        reply.containers = {info_of(request.id)};
        break;
      case Op::stop:
        if (const auto done = world_.call(named("stop")); !done.has_value()) return failed(done.error());
        world_.ended.insert(request.id);
        break;
      case Op::remove:
        if (const auto done = world_.call(named("remove")); !done.has_value()) return failed(done.error());
        world_.drop("container " + request.id);
        break;
      case Op::exec:
        if (const auto done = world_.call("monitor.exec"); !done.has_value()) return failed(done.error());
        (void)sys::write_all(descriptors.at(0), "out");
        (void)sys::write_all(descriptors.at(1), "err");
        reply.exit_code = 3;
        break;
      case Op::shutdown:
        world_.drop("monitor " + pod_id_);
        world_.drop("container " + pod_id_);
        break;
      case Op::hello: {
        const std::lock_guard lock{world_.mutex};
        for (const auto& item : world_.alive)
          if (item.starts_with("container ")) reply.containers.push_back(info_of(item.substr(10)));
        break;
      }
      default: break;
    }
    return reply;
  }
  World& world_;
  std::string pod_id_;
};

class FakeMonitors : public Monitors {
 public:
  explicit FakeMonitors(World& world) : world_{world} {}
  Result<std::unique_ptr<Starting>> start(const std::string& pod_id, const std::string&) override {
    TRY(world_.call("monitors.start"));
    world_.add("monitor " + pod_id);
    return std::unique_ptr<Starting>{std::make_unique<FakeStarting>(world_, pod_id)};
  }
  Result<std::shared_ptr<PodMonitor>> connect(const std::string& pod_id, const std::string&) override {
    if (!world_.alive.contains("monitor " + pod_id)) return Error{Kind::not_found, "no monitor"};
    return std::shared_ptr<PodMonitor>{std::make_shared<FakePodMonitor>(world_, pod_id)};
  }

 private:
  class FakeStarting : public Starting {
   public:
    FakeStarting(World& world, std::string pod_id) : world_{world}, pod_id_{std::move(pod_id)} {}
    ~FakeStarting() override {
      if (!finished_) world_.drop("monitor " + pod_id_);
    }
    Result<std::shared_ptr<PodMonitor>> finish() override {
      TRY(world_.call("monitors.finish"));
      finished_ = true;
      return std::shared_ptr<PodMonitor>{std::make_shared<FakePodMonitor>(world_, pod_id_)};
    }

   private:
    World& world_;
    std::string pod_id_;
    bool finished_ = false;
  };
  World& world_;
};

class FakeImages : public images::Images {
 public:
  FakeImages(World& world, std::string root) : world_{world}, root_{std::move(root)} {
    image.id = "sha256:abc";
    image.repo_tags = {"docker.io/library/busybox:latest"};
    image.config.cmd = {"/bin/sh"};
  }
  Result<std::vector<images::Image>> list() override { return std::vector{image}; }
  Result<std::optional<images::Image>> find(const std::string& reference) override {
    if (reference != image.id && reference != "busybox") return std::optional<images::Image>{};
    return std::optional{image};
  }
  Status tag(const std::string&, const std::string&) override { return ok(); }
  Status remove(const std::string&) override { return ok(); }
  Status untag(const std::string&) override { return ok(); }
  Status set_pinned(const std::string&, bool) override { return ok(); }
  Result<images::FsUsage> usage() override { return images::FsUsage{}; }
  Result<std::string> pull(const std::string&, const images::PullOptions&) override { return image.id; }
  Result<std::string> import(const std::string&, const std::string&) override { return image.id; }
  Result<std::string> config_text(const std::string&) override { return std::string{"{}"}; }
  Result<images::ContainerRootfs> prepare_container(const std::string& key, const std::string&) override {
    TRY(world_.call("images.prepare_container"));
    const auto path = root_ + "/" + key;
    TRY(make_directories(path + "/etc"));
    TRY(write_atomically(AT_FDCWD, path + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"));
    world_.add("rootfs " + key);
    return images::ContainerRootfs{.path = path, .upper_dir = path};
  }
  Result<images::ContainerRootfs> mount_container(const std::string& key) override { return images::ContainerRootfs{.path = root_ + "/" + key, .upper_dir = {}}; }
  Status release_container(const std::string& key) override {
    TRY(world_.call("images.release_container"));
    world_.drop("rootfs " + key);
    return remove_tree(AT_FDCWD, root_ + "/" + key);
  }
  Result<std::vector<std::string>> container_keys() override {
    std::vector<std::string> keys;
    const std::lock_guard lock{world_.mutex};
    for (const auto& item : world_.alive)
      if (item.starts_with("rootfs ")) keys.push_back(item.substr(7));
    return keys;
  }
  Result<images::FsUsage> container_usage(const std::string&) override { return images::FsUsage{}; }
  Result<std::string> mount_image(const std::string&, const std::string& key) override {
    TRY(world_.call("images.mount_image"));
    TRY(make_directories(root_ + "/volume/inside"));
    world_.add("volume " + key);
    return root_ + "/volume";
  }
  Status unmount_image(const std::string& key) override {
    world_.drop("volume " + key);
    return ok();
  }
  Result<std::vector<std::string>> view_keys() override {
    std::vector<std::string> keys;
    const std::lock_guard lock{world_.mutex};
    for (const auto& item : world_.alive)
      if (item.starts_with("volume ")) keys.push_back(item.substr(7));
    return keys;
  }
  Result<std::string> commit(const std::string&, const std::string&) override { return image.id; }
  images::Image image;

 private:
  World& world_;
  std::string root_;
};

// A whole huskd without gRPC, kernel and processes, on temporary directories.
class Bench {
 public:
  Bench() { load(); }
  // As after kill -9: what is in memory is gone, the world stays.
  void restart() {
    services_.reset();
    load();
    REQUIRE_OK(reconcile(node()));
  }
  PodService& pods() { return services_->pod_service; }
  ContainerService& containers() { return services_->container_service; }
  Node& node() { return services_->node; }
  ExitWatch& watch() { return services_->watch; }
  PodRef pod(const std::string& id) { return services_->node.pods.find(id).value(); }
  ContainerRef container(const std::string& id) { return services_->node.containers.find(id).value(); }
  // Files below the state directory and records, by name.
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto* part : {"/state/pods", "/root/records/pods", "/root/records/containers", "/rootfs"}) {
      const auto fd = sys::openat(AT_FDCWD, directory.path() + part, O_RDONLY | O_DIRECTORY);
      if (!fd.has_value()) continue;
      const auto entries = sys::list_dir(fd.value().get()).value();
      for (const auto& entry : entries)
        if (entry.name != "volume") names.push_back(part + ("/" + entry.name));
    }
    return names;
  }

  husk::test::TempDir directory;
  World world;
  FakeHost host{world};
  FakeNetwork network{world};
  FakeMonitors monitors{world};
  FakeImages images{world, directory / "rootfs"};
  Config config{};
  HostFacts facts{};

 private:
  struct Services {
    Services(Bench& bench, std::unique_ptr<PodStore> pod_store, std::unique_ptr<ContainerStore> container_store)
        : pods{std::move(pod_store)},
          containers{std::move(container_store)},
          node{.config = bench.config, .facts = bench.facts, .pods = *pods, .containers = *containers, .images = bench.images,
               .network = bench.network, .host = bench.host, .monitors = bench.monitors, .pause_rootfs = "/pause-rootfs"} {}
    std::unique_ptr<PodStore> pods;
    std::unique_ptr<ContainerStore> containers;
    Node node;
    ExitWatch watch{node};
    ContainerService container_service{node};
    PodService pod_service{node, container_service};
  };
  void load() {
    config.root = directory / "root";
    config.state = directory / "state";
    auto pods = PodStore::open(config.root + "/records/pods", "pod", decode_pod_record);
    auto containers = ContainerStore::open(config.root + "/records/containers", "container", decode_container_record);
    REQUIRE_OK(pods);
    REQUIRE_OK(containers);
    services_ = std::make_unique<Services>(*this, std::move(pods).value(), std::move(containers).value());
  }
  std::unique_ptr<Services> services_;
};

inline PodConfig pod_config(const std::string& name = "web") {
  PodConfig config;
  config.metadata = {.name = name, .uid = "uid-" + name, .namespace_name = "default", .attempt = 0};
  config.hostname = name;
  config.log_directory = "/tmp/husk-unit-logs-" + name;
  config.labels = {{"app", name}};
  config.annotations = {{"note", "kept as it is: \xc3\xa9"}};
  config.namespaces.pid = NamespaceMode::container;
  return config;
}

inline ContainerConfig container_config(const std::string& name = "server") {
  ContainerConfig config;
  config.name = name;
  config.image = "busybox";
  config.command = {"/bin/httpd", "-f"};
  config.namespaces.pid = NamespaceMode::container;
  return config;
}

}  // namespace husk::cri::test
