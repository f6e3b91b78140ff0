#include "rootfs/devices.h"

#include <errno.h>
#include <linux/mount.h>
#include <sys/sysmacros.h>

#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::rootfs {
namespace {

struct Link {
  const char* name;
  const char* target;
};
constexpr std::array kLinks{Link{"fd", "/proc/self/fd"}, Link{"stdin", "/proc/self/fd/0"},
                            Link{"stdout", "/proc/self/fd/1"}, Link{"stderr", "/proc/self/fd/2"},
                            Link{"core", "/proc/kcore"}};
constexpr const char* kPtmxTarget = "pts/ptmx";

mode_t node_type(char type) { return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR; }

dev_t number_of(const oci::Device& device) {
  if (device.type == 'p') return 0;
  return makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
}

bool matches(const struct stat& info, const oci::Device& device) {
  if ((info.st_mode & S_IFMT) != node_type(device.type)) return false;
  return device.type == 'p' || info.st_rdev == number_of(device);
}

std::string text_of(const oci::Device& device) {
  if (device.type == 'p') return "a FIFO";
  return format_text("{} device {}:{}", device.type == 'b' ? "block" : "character", device.major, device.minor);
}

// "/dev/null" is made in the /dev that is open; anything deeper is found inside the root.
struct Place {
  UniqueFd owned;
  int dirfd = -1;
  std::string name;
};
Result<Place> open_place(const Ground& ground, const UniqueFd& dev, const std::string& path) {
  constexpr std::string_view kDev = "/dev/";
  if (dev.is_open() && path.starts_with(kDev) && path.find('/', kDev.size()) == std::string::npos)
    return Place{.dirfd = dev.get(), .name = path.substr(kDev.size())};
  auto found = TRY(ground.root.open_parent(path, true));
  const int dirfd = found.parent.get();
  return Place{.owned = std::move(found.parent), .dirfd = dirfd, .name = std::move(found.name)};
}

// config-linux.md#devices: "If a file already exists at path that does not match the requested device,
// the runtime MUST generate an error".
Error mismatch(const oci::Device& device) {
  return Error{Kind::exists, format_text("{} exists and is not {}", quote(device.path), text_of(device))}.hint(
      "remove it from the image, or the device from the configuration");
}

// Binds the host's node of the same path. An empty file is what it is mounted on.
Status bind_node(const oci::Device& device, const Place& place) {
  const auto tree = TRY(open_host_node(device));
  auto made = sys::mknodat(place.dirfd, place.name, S_IFREG, 0);
  if (!made.has_value()) {
    if (made.error().kind() != Kind::exists) return made;
    const auto info = TRY(sys::fstatat(place.dirfd, place.name, AT_SYMLINK_NOFOLLOW));
    if (matches(info, device)) return ok();
    if (!S_ISREG(info.st_mode)) return mismatch(device);
  }
  // The last component is not followed: a link in its place would be covered, not obeyed.
  return sys::move_mount(tree.get(), "", place.dirfd, place.name, MOVE_MOUNT_F_EMPTY_PATH);
}

Status check_existing(const oci::Device& device, const Place& place) {
  const auto info = TRY(sys::fstatat(place.dirfd, place.name, AT_SYMLINK_NOFOLLOW));
  return matches(info, device) ? ok() : mismatch(device);
}

Status make_node(const oci::Device& device, const Place& place, bool bind) {
  if (bind && device.type != 'p') return bind_node(device, place);
  const mode_t mode = node_type(device.type) | (device.file_mode.value_or(0666) & 07777);
  auto made = sys::mknodat(place.dirfd, place.name, mode, number_of(device));
  if (!made.has_value()) {
    if (made.error().kind() == Kind::exists) return check_existing(device, place);
    if (made.error().os_errno() == EPERM && device.type != 'p') return bind_node(device, place);
    return made;
  }
  if (device.uid == 0 && device.gid == 0) return ok();
  return sys::fchownat(place.dirfd, place.name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW);
}

// A link of the image with that name stays, except /dev/ptmx: it must be that of the new devpts.
Status make_links(const UniqueFd& dev) {
  for (const auto& link : kLinks) {
    auto made = sys::symlinkat(link.target, dev.get(), link.name);
    if (!made.has_value() && made.error().kind() != Kind::exists) return made;
  }
  auto made = sys::symlinkat(kPtmxTarget, dev.get(), "ptmx");
  if (made.has_value() || made.error().kind() != Kind::exists) return made;
  const auto target = sys::readlinkat(dev.get(), "ptmx");
  if (target.has_value() && (target.value() == kPtmxTarget || target.value() == "/dev/pts/ptmx")) return ok();
  TRY(sys::unlinkat(dev.get(), "ptmx"));
  return sys::symlinkat(kPtmxTarget, dev.get(), "ptmx");
}

Status make_console_place(const UniqueFd& dev) {
  auto made = sys::mknodat(dev.get(), "console", S_IFREG | 0600, 0);
  if (made.has_value() || made.error().kind() == Kind::exists) return ok();  // looked at by bind_console
  return made;
}

// Default devices are in no configuration.
std::string pointer_of(const RootfsPlan& plan, const oci::Device& device) {
  const auto found = plan.device_pointers.find(device.path);
  return found == plan.device_pointers.end() ? "" : format_text("{}: ", quote(found->second));
}

}  // namespace

Result<UniqueFd> open_host_node(const oci::Device& device) {
  auto tree = sys::open_tree(AT_FDCWD, device.path, OPEN_TREE_CLONE);
  if (!tree.has_value())
    return std::move(tree).error().hint(
        "without the right to make nodes (user namespace) only devices of the host can be given");
  const auto source = TRY(sys::fstat(tree.value().get()));
  if (matches(source, device)) return tree;
  return Error{Kind::invalid, format_text("{} of the host is not {}", quote(device.path), text_of(device))};
}

Result<UniqueFd> open_dev(const Ground& ground) {
  if (const auto* own = ground.find_own("/dev")) return sys::dup_cloexec(own->mount.get());
  auto dev = ground.root.open_plain("/dev", O_DIRECTORY);
  if (!dev.has_value() && dev.error().os_errno() == ENOENT) {
    TRY(sys::mkdirat(ground.root.fd(), "dev", 0755));
    dev = ground.root.open_plain("/dev", O_DIRECTORY);
  }
  if (dev.has_value()) return dev;
  const int err = dev.error().os_errno();
  if (err != ELOOP && err != ENOTDIR) return dev;
  return Error{Kind::invalid, "\"/dev\" of the rootfs must be an ordinary directory"}.hint(
      "fix the image: it has a symbolic link or a file there");
}

Status make_devices(const RootfsPlan& plan, const Ground& ground, const UniqueFd& dev) {
  for (const auto& device : plan.devices) {
    const auto place = TRY(open_place(ground, dev, device.path));
    auto done = make_node(device, place, plan.bind_devices);
    if (!done.has_value()) return std::move(done).during(format_text("{}make device {}", pointer_of(plan, device), quote(device.path)));
  }
  if (plan.default_devices) TRY(make_links(dev));
  if (plan.console && plan.default_devices) TRY(make_console_place(dev));
  return ok();
}

}  // namespace husk::rootfs
