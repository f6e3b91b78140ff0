#include "cri/host.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/systemd/scope.h"
#include "cri/monitor_process.h"
#include "netns/pod_network.h"

namespace husk::cri {
namespace {

constexpr int kHuskTimeoutMs = 60'000;

bool is_mount_error_of_absence(int err) { return err == ENOENT || err == EINVAL; }  // EINVAL: no mount there

class RealHost : public Host {
 public:
  explicit RealHost(RealHostOptions options) : options_{std::move(options)} {}

  Status create_netns(const std::string& path, const StringMap& sysctls) override {
    const auto pinned = TRY(netns::create_pinned(path, sysctls));
    return ok();
  }
  Status remove_netns(const std::string& path) override { return netns::remove_pinned(path); }

  Status mount_shm(const std::string& path, std::uint64_t bytes) override {
    TRY(make_directories(path, 0755));
    return sys::mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, format_text("mode=1777,size={}", bytes));
  }
  Status unmount(const std::string& path) override {
    // Detached: a process that still has a file open there must not keep the pod from going.
    const auto done = sys::umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (!done.has_value() && !is_mount_error_of_absence(done.error().os_errno())) return done;
    return ok();
  }

  bool has_cgroup(const std::string& path) override { return cgroups::open(path, version_).has_value(); }
  Status remove_cgroup(const std::string& path) override { return cgroups::remove_path(path, version_); }
  Result<cgroups::Stats> cgroup_stats(const std::string& path) override {
    const auto cgroup = TRY(cgroups::open(path, version_));
    return cgroup->stats();
  }
  Status update_cgroup(const std::string& path, const oci::Resources& resources) override {
    if (path.ends_with(".scope")) return update_scope(path, resources);
    const auto cgroup = TRY(cgroups::open(path, version_));
    const auto plan = TRY(cgroups::make_plan(path, resources, "", cgroups::Driver::cgroupfs));
    return cgroup->apply(plan);
  }

  Status delete_container(const std::string& id) override {
    const auto output = TRY(run({.path = options_.husk,
                                 .arguments = {"husk", "--root", options_.runtime_root, "delete", "--force", id}},
                                kHuskTimeoutMs));
    if (output.status.success()) return ok();
    return Error{Kind::internal, format_text("husk delete --force {}: exit code {}: {}", id, output.status.code, trim(output.err))};
  }
  Status kill_monitor(const std::string& pod_directory) override { return cri::kill_monitor(pod_directory); }
  Status kill_creation(const std::string& container_id) override { return cri::kill_creation(container_id); }
  std::vector<std::string> runtime_containers() override {
    std::vector<std::string> ids;
    const auto directory = sys::openat(AT_FDCWD, options_.runtime_root, O_RDONLY | O_DIRECTORY);
    if (!directory.has_value()) return ids;
    const auto entries = sys::list_dir(directory.value().get());
    if (!entries.has_value()) return ids;
    for (const auto& entry : entries.value())
      if (entry.type == DT_DIR) ids.push_back(entry.name);
    return ids;
  }

  Result<std::string> resolve_path(const std::string& path, bool create) override {
    auto fd = sys::openat(AT_FDCWD, path, O_PATH);
    if (!fd.has_value() && fd.error().kind() == Kind::not_found && create) {
      TRY(make_directories(path));
      fd = sys::openat(AT_FDCWD, path, O_PATH);
    }
    if (!fd.has_value()) return std::move(fd).error();
    return sys::readlinkat(AT_FDCWD, format_text("/proc/self/fd/{}", fd.value().get()));
  }
  Result<std::string> propagation_of(const std::string& path) override {
    const auto text = TRY(read_file("/proc/self/mountinfo"));
    return parse_propagation(text, path);
  }

  Result<std::vector<ResolvedDevice>> find_devices(const DeviceRequest& request) override {
    std::vector<ResolvedDevice> found;
    TRY(collect(request.host_path, request.container_path, request.permissions, 0, found));
    if (found.empty())
      return Error{Kind::invalid, format_text("device {}: no device node is there", quote(request.host_path))};
    return found;
  }
  Result<std::vector<ResolvedDevice>> all_devices() override {
    std::vector<ResolvedDevice> found;
    TRY(collect("/dev", "/dev", "rwm", 0, found));
    return found;
  }

 private:
  static constexpr int kDeepestDevice = 8;

  // Not what a container has of its own: terminals, shared memory, queues, links to its own /proc.
  static bool is_own(const std::string& path) {
    for (const auto* own : {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx", "/dev/hugepages"})
      if (path == own) return true;
    return false;
  }

  static Status collect(const std::string& from, const std::string& to, const std::string& access, int depth,
                        std::vector<ResolvedDevice>& found) {
    // A link is followed only when it was asked for by name.
    const auto info = TRY(sys::fstatat(AT_FDCWD, from, depth == 0 ? 0 : AT_SYMLINK_NOFOLLOW));
    if (S_ISDIR(info.st_mode)) {
      if (depth >= kDeepestDevice) return ok();
      const auto directory = TRY(sys::openat(AT_FDCWD, from, O_RDONLY | O_DIRECTORY));
      const auto entries = TRY(sys::list_dir(directory.get()));
      for (const auto& entry : entries) {
        const auto path = from + "/" + entry.name;
        if (is_own(path)) continue;
        const auto done = collect(path, to + "/" + entry.name, access, depth + 1, found);
        if (!done.has_value() && done.error().kind() != Kind::not_found) return done;  // unplugged meanwhile
      }
      return ok();
    }
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return ok();
    found.push_back({.device = {.type = S_ISBLK(info.st_mode) ? 'b' : 'c',
                                .path = to,
                                .major = major(info.st_rdev),
                                .minor = minor(info.st_rdev),
                                .file_mode = info.st_mode & 07777U,
                                .uid = info.st_uid,
                                .gid = info.st_gid},
                     .access = access});
    return ok();
  }

  RealHostOptions options_;
  // The driver is systemd's: it must hear of the limits, or takes them back at the next reload.
  Status update_scope(const std::string& path, const oci::Resources& resources) {
    using cgroups::systemd::Manager;
    const auto cgroup = TRY(cgroups::systemd::open(
        {.unit = path.substr(path.rfind('/') + 1), .manager = Manager::system, .path = path}, version_));
    const auto plan = TRY(cgroups::make_plan("", resources, "update", cgroups::Driver::systemd));
    return cgroup->apply(plan);
  }

  cgroups::Version version_ = cgroups::host_version();
};

}  // namespace

std::unique_ptr<Host> make_host(RealHostOptions options) { return std::make_unique<RealHost>(std::move(options)); }

std::string parse_propagation(std::string_view mountinfo, std::string_view path) {
  // Fields: id, parent, device, root, mount point, options, optional fields, "-". Source: man 5 proc.
  std::string_view best;
  std::string propagation = "private";
  for (const auto line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 7) continue;
    const auto point = fields[4];
    const bool holds = point == "/" || path == point || (path.starts_with(point) && path.substr(point.size()).starts_with('/'));
    if (!holds || point.size() < best.size()) continue;
    best = point;
    propagation = "private";
    for (std::size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      if (fields[i].starts_with("shared:")) propagation = "shared";
      if (fields[i].starts_with("master:") && propagation != "shared") propagation = "slave";
    }
  }
  return propagation;
}

std::string read_host_name() {
  const auto text = read_file("/proc/sys/kernel/hostname", 4096);
  return text.has_value() ? std::string{trim(text.value())} : "localhost";
}

static bool has_hugetlb(bool cgroup2) {
  if (!cgroup2) return path_exists("/sys/fs/cgroup/hugetlb");
  const auto controllers = read_file("/sys/fs/cgroup/cgroup.controllers", 4096);
  if (!controllers.has_value()) return false;
  const auto names = words_of(controllers.value());
  return std::ranges::find(names, "hugetlb") != names.end();
}

HostFacts read_host_facts() {
  HostFacts facts;
  facts.cgroup2 = cgroups::host_version() == cgroups::Version::v2;
  facts.hugetlb = has_hugetlb(facts.cgroup2);
  facts.swap_accounting = facts.cgroup2 || path_exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
  const auto modules = read_file("/sys/kernel/security/lsm", 4096);
  const auto names = modules.has_value() ? split(trim(modules.value()), ',') : std::vector<std::string_view>{};
  facts.apparmor = std::ranges::find(names, "apparmor") != names.end();
  facts.selinux = std::ranges::find(names, "selinux") != names.end();
  const auto status = read_file("/proc/self/status", 1U << 16U);
  facts.capabilities.available = parse_bounding_set(status.has_value() ? status.value() : std::string{});
  const auto& available = facts.capabilities.available;
  if (std::ranges::find(available, "CAP_SYS_RESOURCE") == available.end()) {
    const auto own = read_file("/proc/self/oom_score_adj", 64);
    const auto number = own.has_value() ? parse_int64(trim(own.value())) : Result<std::int64_t>{0};
    facts.lowest_oom_score_adj = number.has_value() ? static_cast<int>(number.value()) : 0;
  }
  return facts;
}

}  // namespace husk::cri
