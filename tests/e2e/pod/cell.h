// Cell: a huskd of its own in private mount, network and PID namespaces, with an image of busybox, and
// a gRPC client. What runs in a cell cannot outlive it: its first process is `pause`, killed at the end.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/process.h"
#include "cri.grpc.pb.h"
#include "harness/harness.h"

namespace husk::test {

namespace v1 = runtime::v1;

inline std::string why_no_cell() {
  if (!is_root()) return "needs root";
  if (!path_exists("/bin/busybox")) return "needs busybox-static";
  return {};
}
#define NEED_CELL() \
  if (const auto why = ::husk::test::why_no_cell(); !why.empty()) HUSK_SKIP(why)

// A call with a deadline; the status is kept so that a test may look at the code.
template <class Response>
struct Answer {
  grpc::Status status;
  Response value;
  bool ok() const { return status.ok(); }
  std::string text() const { return ok() ? "success" : std::to_string(status.error_code()) + " " + status.error_message(); }
};
#define REQUIRE_CALL(answer) REQUIRE_MESSAGE((answer).ok(), (answer).text())
#define CHECK_CALL(answer) CHECK_MESSAGE((answer).ok(), (answer).text())

class Cell {
 public:
  explicit Cell(const std::string& configuration = {}) {
    const auto cgroup = format_text("/husk-e2e-{}", ::getpid());
    REQUIRE_OK(write_atomically(AT_FDCWD, directory_ / "huskd.toml",
                                format_text("[runtime]\ncgroup_parent = \"{}\"\n{}", cgroup, configuration)));
    boot();
    make_image();
    const auto imported = inside({program("husk-image"), "--root", root(), "import", directory_ / "image", "busybox"});
    REQUIRE_MESSAGE(imported.status.success(), imported.err);
    start();
  }
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;
  ~Cell() {
    stub_.reset();
    images_.reset();
    stop();
    power_off();
    for (const auto& controller : names_in("/sys/fs/cgroup"))
      remove_cgroups(format_text("/sys/fs/cgroup/{}/husk-e2e-{}", controller, ::getpid()));
  }

  // ---- the daemon ------------------------------------------------------------------------------
  void start() {
    auto log = sys::openat(AT_FDCWD, directory_ / "huskd.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    REQUIRE_OK(log);
    auto arguments = nsenter({program("huskd"), "--config", directory_ / "huskd.toml", "--root", root(), "--state", state(),
                              "--listen", "unix://" + socket(), "--log-level", "debug"});
    auto child = spawn({.path = "/usr/bin/nsenter", .arguments = arguments, .descriptors = {{.from = log.value().get(), .target = 2}}});
    REQUIRE_OK(child);
    daemon_ = std::move(child).value();
    grpc::ChannelArguments limits;
    limits.SetMaxReceiveMessageSize(16 << 20);  // kubelet's
    limits.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // not the connection to a huskd that was killed
    channel_ = grpc::CreateCustomChannel("unix:" + socket(), grpc::InsecureChannelCredentials(), limits);
    const bool connected = channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds{20});
    REQUIRE_MESSAGE(connected, log_text());
    stub_ = v1::RuntimeService::NewStub(channel_);
    images_ = v1::ImageService::NewStub(channel_);
  }
  // All processes, mounts and links go; the state directory is as a tmpfs would be.
  void reboot() {
    power_off();
    REQUIRE_OK(remove_tree(AT_FDCWD, state()));
    boot();
  }
  // nsenter waits for huskd in the PID namespace: the signal goes to huskd itself.
  void end(int signal) {
    if (daemon_.pid() < 0) return;
    const auto pid = child_of(daemon_.pid());
    if (pid > 0) (void)sys::kill(pid, signal);
    (void)daemon_.wait();
    daemon_ = Child{};
  }
  void kill_hard() { end(SIGKILL); }
  void stop() { end(SIGTERM); }
  std::string log_text() const { return read_file(directory_.path() + "/huskd.log").value(); }

  std::string root() const { return directory_.path() + "/root"; }
  std::string state() const { return directory_.path() + "/state"; }
  std::string socket() const { return directory_.path() + "/s.sock"; }
  std::string operator/(const std::string& name) const { return directory_.path() + "/" + name; }
  pid_t daemon_pid() const { return child_of(daemon_.pid()); }

  Output inside(std::vector<std::string> command) const {
    auto output = run({.path = "/usr/bin/nsenter", .arguments = nsenter(std::move(command))}, 60'000);
    REQUIRE_OK(output);
    return std::move(output).value();
  }

  // ---- calls -----------------------------------------------------------------------------------
  template <class Stub, class Request, class Response>
  Answer<Response> call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                        int seconds = 60) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{seconds});
    Answer<Response> answer;
    if constexpr (std::is_same_v<Stub, v1::RuntimeService::Stub>) {
      answer.status = (stub_.get()->*method)(&context, request, &answer.value);
    } else {
      answer.status = (images_.get()->*method)(&context, request, &answer.value);
    }
    return answer;
  }
  using Runtime = v1::RuntimeService::Stub;
  using Image = v1::ImageService::Stub;
  v1::RuntimeService::Stub& stub() { return *stub_; }

  v1::PodSandboxConfig pod_config(const std::string& name = "web") const {
    v1::PodSandboxConfig config;
    config.mutable_metadata()->set_name(name);
    config.mutable_metadata()->set_namespace_("default");
    config.mutable_metadata()->set_uid("uid-" + name);
    config.set_hostname(name);
    config.set_log_directory(directory_.path() + "/logs/" + name);
    (*config.mutable_labels())["app"] = name;
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::NamespaceMode::CONTAINER);
    return config;
  }
  Answer<v1::RunPodSandboxResponse> run_pod(const v1::PodSandboxConfig& config) {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = config;
    return call(&Runtime::RunPodSandbox, request);
  }
  std::string pod(const v1::PodSandboxConfig& config) {
    const auto answer = run_pod(config);
    REQUIRE_MESSAGE(answer.ok(), answer.text(), "\n", log_text());
    return answer.value.pod_sandbox_id();
  }
  v1::ContainerConfig container_config(const std::string& name, const std::string& script) const {
    v1::ContainerConfig config;
    config.mutable_metadata()->set_name(name);
    config.mutable_image()->set_image("busybox");
    for (const auto* word : {"/bin/sh", "-c", script.c_str()}) config.add_command(word);
    config.set_log_path(name + "/0.log");
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(v1::NamespaceMode::CONTAINER);
    return config;
  }
  Answer<v1::CreateContainerResponse> create_container(const std::string& pod_id, const v1::ContainerConfig& config) {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod_id);
    *request.mutable_config() = config;
    return call(&Runtime::CreateContainer, request);
  }
  std::string create(const std::string& pod_id, const v1::ContainerConfig& config) {
    const auto answer = create_container(pod_id, config);
    REQUIRE_MESSAGE(answer.ok(), answer.text(), "\n", log_text());
    return answer.value.container_id();
  }
  Answer<v1::StartContainerResponse> start_container(const std::string& id) {
    v1::StartContainerRequest request;
    request.set_container_id(id);
    return call(&Runtime::StartContainer, request);
  }
  std::string start(const std::string& pod_id, const v1::ContainerConfig& config) {
    auto id = create(pod_id, config);
    const auto started = start_container(id);
    REQUIRE_MESSAGE(started.ok(), started.text(), "\n", log_text());
    return id;
  }
  Answer<v1::StopContainerResponse> stop_container(const std::string& id, std::int64_t timeout = 5) {
    v1::StopContainerRequest request;
    request.set_container_id(id);
    request.set_timeout(timeout);
    return call(&Runtime::StopContainer, request);
  }
  Answer<v1::RemoveContainerResponse> remove_container(const std::string& id) {
    v1::RemoveContainerRequest request;
    request.set_container_id(id);
    return call(&Runtime::RemoveContainer, request);
  }
  Answer<v1::StopPodSandboxResponse> stop_pod(const std::string& id) {
    v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    return call(&Runtime::StopPodSandbox, request);
  }
  Answer<v1::RemovePodSandboxResponse> remove_pod(const std::string& id) {
    v1::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    return call(&Runtime::RemovePodSandbox, request);
  }
  v1::PodSandboxStatus pod_status(const std::string& id) {
    v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id);
    const auto answer = call(&Runtime::PodSandboxStatus, request);
    REQUIRE_CALL(answer);
    return answer.value.status();
  }
  Answer<v1::ContainerStatusResponse> find_container(const std::string& id) {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(true);
    return call(&Runtime::ContainerStatus, request);
  }
  v1::ContainerStatus container_status(const std::string& id) {
    const auto answer = find_container(id);
    REQUIRE_CALL(answer);
    return answer.value.status();
  }
  Answer<v1::ExecSyncResponse> exec(const std::string& id, const std::vector<std::string>& command, std::int64_t timeout = 10) {
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    for (const auto& word : command) request.add_cmd(word);
    request.set_timeout(timeout);
    return call(&Runtime::ExecSync, request);
  }
  // Standard output of a command that must succeed.
  std::string output(const std::string& id, const std::string& script) {
    const auto answer = exec(id, {"/bin/sh", "-c", script});
    REQUIRE_CALL(answer);
    CHECK_MESSAGE(answer.value.exit_code() == 0, answer.value.stderr());
    return std::string{trim(answer.value.stdout())};
  }
  // Waits for the end of a container by asking its monitor's effect: the state of its record.
  v1::ContainerStatus wait_exited(const std::string& id) {
    const auto deadline = now_monotonic_ns() + 20'000'000'000;
    while (now_monotonic_ns() < deadline) {
      auto status = container_status(id);
      if (status.state() == v1::ContainerState::CONTAINER_EXITED) return status;
      (void)::usleep(2000);
    }
    FAIL("container did not end: ", id);
    return {};
  }

  // ---- what is left ----------------------------------------------------------------------------
  // Everything that a pod may leave: processes, mounts, namespaces, cgroups, links, files.
  std::string leftovers() const {
    std::vector<std::string> found;
    const auto processes = inside({"/bin/busybox", "ps", "-o", "pid,args"}).out;
    for (const auto line : split(processes, '\n'))
      for (const auto* name : {"/pause", "husk-monitor", "/bin/sh", "sleep", "httpd"})
        if (const auto text = trim(line); text.find(name) != std::string_view::npos && !text.starts_with("1 ")) found.emplace_back(text);
    const auto mounts = inside({"/bin/busybox", "cat", "/proc/self/mountinfo"}).out;
    for (const auto line : split(mounts, '\n'))
      if (line.find(directory_.path()) != std::string_view::npos) found.emplace_back(line);
    const auto links = inside({"/bin/busybox", "ip", "-o", "link"}).out;
    for (const auto line : split(links, '\n'))
      if (line.find("veth") != std::string_view::npos) found.emplace_back(line);
    for (const auto* part : {"/state/pods", "/state/netns", "/state/runtime", "/root/records/pods", "/root/records/containers", "/root/containers"})
      for (const auto& name : names_in(directory_.path() + part))
        if (name != ".seccomp") found.push_back(part + ("/" + name));  // husk's compiled filters are kept for later containers
    for (const auto& controller : names_in("/sys/fs/cgroup"))
      for (const auto& name : directories_in(format_text("/sys/fs/cgroup/{}/husk-e2e-{}", controller, ::getpid())))
        found.push_back(format_text("cgroup {} {}", controller, name));
    return join(found, "\n");
  }
  static std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    const auto fd = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (!fd.has_value()) return names;
    const auto entries = sys::list_dir(fd.value().get());
    if (!entries.has_value()) return names;
    for (const auto& entry : entries.value()) names.push_back(entry.name);
    return names;
  }
  static std::vector<std::string> directories_in(const std::string& path) {
    auto names = names_in(path);
    std::erase_if(names, [&](const std::string& name) {
      const auto info = sys::fstatat(AT_FDCWD, path + "/" + name, AT_SYMLINK_NOFOLLOW);
      return !info.has_value() || !S_ISDIR(info.value().st_mode);
    });
    return names;
  }

 private:
  void boot() {
    auto keeper = spawn({.path = "/usr/bin/unshare",
                         .arguments = {"unshare", "-m", "-n", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private",
                                       program("pause")}});
    REQUIRE_OK(keeper);
    keeper_ = std::move(keeper).value();
    init_ = child_of(keeper_.pid());
    const auto up = inside({"/bin/busybox", "ip", "link", "set", "lo", "up"});
    CHECK(up.status.success());
  }
  void power_off() {
    if (keeper_.pid() < 0) return;
    // The first process of a PID namespace is gone when all others are.
    const auto init = sys::pidfd_open(init_);
    (void)keeper_.signal(SIGKILL);
    (void)keeper_.wait();
    std::vector<sys::PollEntry> entries;
    if (init.has_value()) entries.push_back({.fd = init.value().get(), .events = POLLIN});
    (void)sys::poll(entries, 10'000);
    keeper_ = Child{};
    daemon_ = Child{};
  }
  // Of a test that failed: its processes are dead by now.
  static void remove_cgroups(const std::string& path) {
    for (const auto& name : directories_in(path)) remove_cgroups(path + "/" + name);
    (void)sys::unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
  }
  // The one child of a process that only waits for it. It appears after the fork: wait for it.
  static pid_t child_of(pid_t parent) {
    for (int attempt = 0; attempt < 2000; ++attempt) {
      const auto text = read_file(format_text("/proc/{}/task/{}/children", parent, parent));
      if (!text.has_value()) return -1;
      const auto pid = parse_int64(trim(text.value()));
      if (pid.has_value()) return static_cast<pid_t>(pid.value());
      (void)::usleep(1000);
    }
    return -1;
  }
  std::vector<std::string> nsenter(std::vector<std::string> command) const {
    std::vector<std::string> arguments{"nsenter", "-t", std::to_string(init_), "-m", "-n", "-p", "--"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    return arguments;
  }
  void make_image() const {
    const auto image = directory_.path() + "/image";
    for (const auto* name : {"/bin", "/etc", "/tmp", "/home/user"}) REQUIRE_OK(make_directories(image + name));
    REQUIRE(run({.path = "/bin/cp", .arguments = {"cp", "/bin/busybox", image + "/bin/busybox"}}).value().status.success());
    for (const auto* name : {"sh", "sleep", "cat", "echo", "id", "ls", "httpd", "wget", "hostname", "ps", "true", "false", "kill", "grep", "env",
                             "touch", "stat", "mount", "mkdir", "ip", "ipcs", "dd", "yes", "pwd", "readlink", "tail", "nc", "sysctl"})
      REQUIRE_OK(sys::symlinkat("busybox", AT_FDCWD, image + "/bin/" + name));
    REQUIRE_OK(write_atomically(AT_FDCWD, image + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"));
    REQUIRE_OK(write_atomically(AT_FDCWD, image + "/etc/group", "root:x:0:\nuser:x:1000:\nextra:x:50000:user\n"));
  }

  TempDir directory_;
  Child keeper_;
  pid_t init_ = -1;
  Child daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RuntimeService::Stub> stub_;
  std::unique_ptr<v1::ImageService::Stub> images_;
};

}  // namespace husk::test
