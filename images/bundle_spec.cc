#include "images/bundle_spec.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// podman's default_capabilities (containers.conf).
constexpr std::array kCapabilities{"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",  "CAP_FSETID",
                                   "CAP_KILL",   "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID",
                                   "CAP_SETPCAP", "CAP_SETUID",      "CAP_SYS_CHROOT"};
constexpr std::array kMasked{"/proc/acpi",    "/proc/kcore",       "/proc/keys",     "/proc/latency_stats",
                             "/proc/sched_debug", "/proc/scsi",    "/proc/timer_list", "/proc/timer_stats",
                             "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux"};
constexpr std::array kReadOnly{"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

std::vector<oci::Mount> default_mounts() {
  const auto mount = [](std::string destination, std::string type, std::string source, std::vector<std::string> options) {
    return oci::Mount{.destination = std::move(destination),
                      .type = std::move(type),
                      .source = std::move(source),
                      .options = std::move(options)};
  };
  return {mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
          mount("/dev", "tmpfs", "tmpfs", {"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}),
          mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
          mount("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
          mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
          mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
          mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"})};
}

oci::Mount bind_file(const std::string& files, const std::string& name) {
  return {.destination = "/etc/" + name, .type = "bind", .source = files + "/" + name, .options = {"bind", "rprivate"}};
}

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& item) {
    return item.size() > name.size() && item.starts_with(name) && item[name.size()] == '=';
  });
}

std::vector<std::string> environment(const ImageConfig& image, const ImageUser& user, const BundleRequest& request) {
  auto env = image.env;
  for (const auto& change : request.env) {
    const auto name = change.substr(0, change.find('='));
    std::erase_if(env, [&](const std::string& item) { return item.substr(0, item.find('=')) == name; });
    env.push_back(change);
  }
  if (!has_variable(env, "PATH")) env.insert(env.begin(), kDefaultPath);
  if (!has_variable(env, "HOME")) env.push_back("HOME=" + user.home);
  if (!request.hostname.empty() && !has_variable(env, "HOSTNAME")) env.push_back("HOSTNAME=" + request.hostname);
  if (request.terminal && !has_variable(env, "TERM")) env.emplace_back("TERM=xterm");
  return env;
}

// image-spec conversion.md: args are entrypoint and cmd in a row; who replaces the entrypoint loses
// the image's cmd, which was meant for the old one.
Result<std::vector<std::string>> arguments(const ImageConfig& image, const BundleRequest& request) {
  auto args = request.entrypoint.value_or(image.entrypoint);
  auto rest = request.command;
  if (rest.empty() && !request.entrypoint.has_value()) rest = image.cmd;
  args.insert(args.end(), rest.begin(), rest.end());
  if (args.empty() || args.front().empty())
    return Error{Kind::invalid, "the image names no command"}.hint("give one behind the image's name");
  return args;
}

oci::Linux linux_part(const BundleRequest& request) {
  using oci::NamespaceType;
  oci::Linux part;
  for (const auto type : {NamespaceType::pid, NamespaceType::ipc, NamespaceType::uts, NamespaceType::mount,
                          NamespaceType::cgroup})
    part.namespaces.push_back({.type = type});
  if (request.network == BundleNetwork::none) part.namespaces.push_back({.type = NamespaceType::network});
  part.masked_paths.assign(kMasked.begin(), kMasked.end());
  part.readonly_paths.assign(kReadOnly.begin(), kReadOnly.end());
  part.resources.devices.push_back({.allow = false, .access = "rwm"});
  if (request.network == BundleNetwork::none) {
    part.sysctl.emplace_back("net.ipv4.ping_group_range", "0 0");
    part.sysctl.emplace_back("net.ipv4.ip_unprivileged_port_start", "0");
  }
  return part;
}

}  // namespace

Result<oci::Spec> make_bundle_spec(const ImageConfig& image, const ImageUser& user, const BundleRequest& request,
                                   const std::string& files) {
  oci::Spec spec{.oci_version = oci::kSpecVersion};
  spec.root = oci::Root{.path = "rootfs", .readonly = request.read_only};
  spec.hostname = request.hostname;
  spec.mounts = default_mounts();
  for (const auto* name : {"hosts", "hostname", "resolv.conf"}) spec.mounts.push_back(bind_file(files, name));
  spec.mounts.insert(spec.mounts.end(), request.mounts.begin(), request.mounts.end());
  oci::Process process;
  process.terminal = request.terminal;
  process.args = TRY(arguments(image, request));
  process.env = environment(image, user, request);
  process.cwd = request.working_dir.value_or(image.working_dir);
  if (process.cwd.empty()) process.cwd = "/";
  if (!process.cwd.starts_with('/'))
    return Error{Kind::invalid, format_text("the working directory {} is not absolute", quote(process.cwd))};
  process.user = {.uid = user.uid, .gid = user.gid, .additional_gids = user.additional_gids};
  oci::Capabilities capabilities;
  capabilities.bounding.assign(kCapabilities.begin(), kCapabilities.end());
  // Another user than root gets them through set-uid or file capabilities only.
  if (user.uid == 0) capabilities.effective = capabilities.permitted = capabilities.bounding;
  process.capabilities = std::move(capabilities);
  spec.process = std::move(process);
  spec.linux = linux_part(request);
  return spec;
}

Result<oci::Mount> parse_volume(const std::string& text) {
  const auto parts = split(text, ':');
  const auto wrong = Error{Kind::invalid, format_text("the volume {} is not understood", quote(text))}.hint(
      "write HOST:INSIDE or HOST:INSIDE:ro, both paths absolute");
  if (parts.size() < 2 || parts.size() > 3) return wrong;
  if (!parts[0].starts_with('/') || !parts[1].starts_with('/') || parts[1] == "/") return wrong;
  oci::Mount mount{.destination = std::string{parts[1]}, .type = "bind", .source = std::string{parts[0]}};
  mount.options = {"rbind", "rprivate"};
  if (parts.size() == 2) return mount;
  for (const auto option : split(parts[2], ',')) {
    constexpr std::array kKnown{"ro", "rw", "bind", "rbind", "private", "rprivate", "slave", "rslave", "shared",
                                "rshared", "nodev", "noexec", "nosuid"};
    if (std::find(kKnown.begin(), kKnown.end(), option) == kKnown.end()) return wrong;
    mount.options.emplace_back(option);
  }
  return mount;
}

}  // namespace husk::images
