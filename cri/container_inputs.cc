#include "cri/container_inputs.h"

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr std::size_t kMaxProfile = 4U << 20U;

// A FIFO that a request names must not hold a thread of ours until somebody writes.
// Source: man 2 open, O_NONBLOCK.
Result<std::string> read_profile(const std::string& path) {
  const auto fd = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  const auto info = TRY(sys::fstat(fd.get()));
  if (!S_ISREG(info.st_mode)) return Error{Kind::invalid, format_text("{} is no regular file", quote(path))};
  return read_all(fd.get(), kMaxProfile);
}

bool leads_out(std::string_view path) {
  const auto parts = split(path, '/');
  return std::ranges::find(parts, "..") != parts.end();
}

Status check_propagation(Host& host, const ResolvedMount& mount) {
  if (mount.request.propagation == Propagation::none) return ok();
  const auto has = TRY(host.propagation_of(mount.source));
  if (has == "shared" || (mount.request.propagation == Propagation::host_to_container && has == "slave")) return ok();
  return Error{Kind::invalid, format_text("mount {}: the mount that holds it is {}", quote(mount.request.host_path), has)}
      .hint("make it shared on the host: mount --make-rshared");
}

// Source: KEP-4639 (image volumes, subPath): read-only only, a path inside that exists, links kept inside.
Result<ResolvedMount> resolve_image_volume(Node& node, const MountRequest& request, const std::string& key, Rollback& undo) {
  if (!request.readonly)
    return Error{Kind::invalid, format_text("mount {}: an image volume must be readonly", quote(request.container_path))};
  if (!request.host_path.empty())
    return Error{Kind::invalid, format_text("mount {}: image and host_path are both given", quote(request.container_path))};
  const auto found = TRY(node.images.find(request.image));
  if (!found.has_value())
    return Error{Kind::not_found, format_text("mount {}: image {} is not in the store", quote(request.container_path), quote(request.image))};
  ResolvedMount mount{.request = request, .source = {}};
  mount.request.image_ref = found->id;
  mount.source = TRY(node.images.mount_image(found->id, key).during("ImageVolumeMountFailed"));
  undo.on_failure([&node, key] { (void)node.images.unmount_image(key); });
  if (request.image_sub_path.empty()) return mount;
  const auto root = TRY(RootDir::open(mount.source));
  const auto inside = TRY(root.open_path(request.image_sub_path).during("ImageVolumeMountFailed: image_sub_path"));
  mount.source = TRY(sys::readlinkat(AT_FDCWD, format_text("/proc/self/fd/{}", inside.get())));
  return mount;
}

Result<ResolvedMount> resolve_host_path(Node& node, const MountRequest& request) {
  if (!request.host_path.starts_with('/'))
    return Error{Kind::invalid, format_text("mount {}: host_path {} is not absolute", quote(request.container_path), quote(request.host_path))};
  if (!request.image_sub_path.empty())
    return Error{Kind::invalid, format_text("mount {}: image_sub_path without image", quote(request.container_path))};
  ResolvedMount mount{.request = request, .source = {}};
  mount.source = TRY(node.host.resolve_path(request.host_path, node.config.runtime.create_missing_mount_sources)
                         .during(format_text("mount {}", quote(request.container_path))));
  TRY(check_propagation(node.host, mount));
  return mount;
}

}  // namespace

Result<std::vector<ResolvedMount>> resolve_mounts(Node& node, const ContainerConfig& config, const std::string& id,
                                                  std::vector<std::string>& volumes, Rollback& undo) {
  std::vector<ResolvedMount> resolved;
  for (const auto& request : config.mounts) {
    if (!request.container_path.starts_with('/'))
      return Error{Kind::invalid, format_text("mount: container_path {} is not absolute", quote(request.container_path))};
    if (request.recursive_read_only && (!request.readonly || request.propagation != Propagation::none))
      return Error{Kind::invalid, format_text("mount {}: recursive_read_only needs readonly and private propagation",
                                              quote(request.container_path))};
    if (request.image.empty()) {
      resolved.push_back(TRY(resolve_host_path(node, request)));
      continue;
    }
    const auto key = format_text("{}-{}", id, volumes.size());
    resolved.push_back(TRY(resolve_image_volume(node, request, key, undo)));
    volumes.push_back(key);
  }
  return resolved;
}

Result<std::vector<ResolvedDevice>> resolve_devices(Host& host, const ContainerConfig& config) {
  if (config.privileged) return host.all_devices();
  std::vector<ResolvedDevice> resolved;
  for (auto request : config.devices) {
    if (!request.host_path.starts_with('/') || leads_out(request.host_path))
      return Error{Kind::invalid, format_text("device: host_path {} is not a plain absolute path", quote(request.host_path))};
    if (request.container_path.empty()) request.container_path = request.host_path;
    if (!request.container_path.starts_with('/') || leads_out(request.container_path))
      return Error{Kind::invalid, format_text("device: container_path {} is not a plain absolute path", quote(request.container_path))};
    if (request.permissions.empty()) request.permissions = "rwm";
    if (request.permissions.find_first_not_of("rwm") != std::string::npos || request.permissions.size() > 3)
      return Error{Kind::invalid, format_text("device {}: permissions {} are not made of r, w, m", quote(request.host_path),
                                              quote(request.permissions))};
    auto found = TRY(host.find_devices(request));
    std::ranges::move(found, std::back_inserter(resolved));
  }
  return resolved;
}

Result<std::optional<oci::Seccomp>> resolve_seccomp(const std::optional<SecurityProfile>& profile,
                                                    const oci::Capabilities& capabilities, const HostFacts& facts) {
  std::optional<oci::Seccomp> none;
  if (!profile.has_value()) return none;
  switch (profile->type) {
    case ProfileType::unconfined: return none;
    case ProfileType::runtime_default:
      if (facts.seccomp_profile.has_value()) return facts.seccomp_profile;
      return std::optional{default_seccomp(capabilities)};
    case ProfileType::localhost: break;
  }
  if (!profile->localhost_ref.starts_with('/'))
    return Error{Kind::invalid, format_text("seccomp: localhost_ref {} is not an absolute path", quote(profile->localhost_ref))};
  const auto text = TRY(read_profile(profile->localhost_ref).during("read the seccomp profile"));
  return std::optional{TRY(parse_seccomp_profile(text, profile->localhost_ref))};
}

Status check_security_modules(const std::optional<SecurityProfile>& apparmor, const SelinuxOptions& selinux,
                              const HostFacts& facts) {
  if (apparmor.has_value() && apparmor->type == ProfileType::localhost) {
    if (!facts.apparmor)
      return Error{Kind::unsupported, format_text("apparmor profile {}: this kernel runs without AppArmor", quote(apparmor->localhost_ref))};
    const auto loaded = TRY(read_file("/sys/kernel/security/apparmor/profiles").during("list AppArmor profiles"));
    const auto begin = apparmor->localhost_ref + " (";
    const auto lines = split(loaded, '\n');
    if (std::ranges::none_of(lines, [&](std::string_view line) { return line.starts_with(begin); }))
      return Error{Kind::not_found, format_text("apparmor profile {} is not loaded", quote(apparmor->localhost_ref))};
  }
  if (!selinux.empty() && !facts.selinux)
    return Error{Kind::unsupported, "selinux_options are given, but this kernel runs without SELinux"};
  return ok();
}

Status prepare_directories(const RootDir& rootfs, const ContainerConfig& config, const images::ImageConfig& image) {
  auto directory = config.working_dir.empty() ? image.working_dir : config.working_dir;
  auto wanted = image.volumes;
  if (!directory.empty() && directory != "/") wanted.push_back(directory);
  for (const auto& path : wanted) TRY(rootfs.make_directories(path).during(format_text("create {} in the image", quote(path))));
  return ok();
}

Result<std::string> plan_log_path(const PodRecord& pod, const ContainerConfig& config) {
  if (config.log_path.empty() || pod.log_directory.empty()) return std::string{};
  if (config.log_path.starts_with('/') || leads_out(config.log_path) || config.log_path.ends_with('/'))
    return Error{Kind::invalid, format_text("log_path {} is not a file below the pod's log directory", quote(config.log_path))};
  return pod.log_directory + "/" + config.log_path;
}

Result<int> plan_stop_signal(const ContainerConfig& config, const images::ImageConfig& image) {
  if (config.stop_signal != 0) return config.stop_signal;
  if (image.stop_signal.empty()) return 15;
  return parse_signal(image.stop_signal).during("STOPSIGNAL of the image");
}

}  // namespace husk::cri
