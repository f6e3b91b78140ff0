// The mounts of a container: the system's, the pod's files, then what the request asks for.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "cri/make_spec.h"

namespace husk::cri {
namespace {

// Lexical only, to compare destinations: "//a/./b/" → "/a/b". The kernel does the real walk.
std::string tidy(std::string_view path) {
  std::string result;
  for (const auto part : split(path, '/'))
    if (!part.empty() && part != ".") result.append("/").append(part);
  return result.empty() ? "/" : result;
}

oci::Mount system_mount(const char* destination, const char* type, std::vector<std::string> options) {
  return {.destination = destination, .type = type, .source = type, .options = std::move(options)};
}

std::vector<oci::Mount> system_mounts(bool privileged) {
  const std::string access = privileged ? "rw" : "ro";
  return {system_mount("/proc", "proc", {"nosuid", "noexec", "nodev"}),
          system_mount("/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
          // Group 5 is tty in every distribution; 0620 lets mesg(1) work.
          system_mount("/dev/pts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
          system_mount("/dev/mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
          system_mount("/sys", "sysfs", {"nosuid", "noexec", "nodev", access}),
          system_mount("/sys/fs/cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access})};
}

oci::Mount pod_file(const char* destination, const std::string& source, bool readonly) {
  return {.destination = destination,
          .type = "bind",
          .source = source,
          .options = {"rbind", "rprivate", readonly ? "ro" : "rw"}};
}

oci::Mount requested(const ResolvedMount& mount) {
  std::vector<std::string> options{"rbind"};
  switch (mount.request.propagation) {
    case Propagation::none: options.emplace_back("rprivate"); break;
    case Propagation::host_to_container: options.emplace_back("rslave"); break;
    case Propagation::bidirectional: options.emplace_back("rshared"); break;
  }
  if (mount.request.recursive_read_only) {
    options.emplace_back("rro");
  } else {
    options.emplace_back(mount.request.readonly ? "ro" : "rw");
  }
  return {.destination = tidy(mount.request.container_path), .type = "bind", .source = mount.source, .options = std::move(options)};
}

}  // namespace

std::vector<oci::Mount> plan_mounts(const ContainerInput& input) {
  // Parents before children, whatever order they came in; equal depth keeps the order of the request.
  std::multimap<std::ptrdiff_t, oci::Mount> own;
  for (const auto& mount : input.mounts) {
    auto planned = requested(mount);
    own.emplace(std::ranges::count(planned.destination, '/'), std::move(planned));
  }

  auto all = system_mounts(input.config.privileged);
  const bool readonly = input.config.readonly_rootfs;
  if (!input.files.shm.empty())
    all.push_back({.destination = "/dev/shm",
                   .type = "bind",
                   .source = input.files.shm,
                   .options = {"rbind", "rprivate", "nosuid", "nodev", "noexec", "rw"}});
  if (!input.files.hosts.empty()) all.push_back(pod_file("/etc/hosts", input.files.hosts, readonly));
  if (!input.files.hostname.empty()) all.push_back(pod_file("/etc/hostname", input.files.hostname, readonly));
  if (!input.files.resolv_conf.empty()) all.push_back(pod_file("/etc/resolv.conf", input.files.resolv_conf, readonly));
  std::erase_if(all, [&](const oci::Mount& mount) {
    return std::ranges::any_of(own, [&](const auto& mine) { return mine.second.destination == mount.destination; });
  });
  for (auto& [depth, mount] : own) all.push_back(std::move(mount));
  return all;
}

// A mount can only propagate into or out of the container when the container's root does.
std::string plan_root_propagation(const std::vector<ResolvedMount>& mounts) {
  std::string propagation;
  for (const auto& mount : mounts) {
    if (mount.request.propagation == Propagation::bidirectional) return "rshared";
    if (mount.request.propagation == Propagation::host_to_container) propagation = "rslave";
  }
  return propagation;
}

}  // namespace husk::cri
