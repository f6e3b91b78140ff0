#include "rootfs/overlay.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <utility>

#include "base/format.h"
#include "base/kernel_features.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/layer_path.h"

namespace husk::rootfs {
namespace {

// Never the module's defaults: a distribution may build them otherwise, and our differ of upper
// directories relies on whole files and directories (no redirects, no metacopy).
constexpr std::array<std::pair<const char*, const char*>, 4> kFixedOptions{{
    {"index", "off"}, {"redirect_dir", "off"}, {"metacopy", "off"}, {"xino", "off"}}};
constexpr std::size_t kPage = 4096;  // mount(2) takes one page of options

Status check_layers(const OverlayLayers& layers) {
  if (layers.lower.empty()) return Error{Kind::invalid, "an overlay needs at least one lower directory"};
  if (layers.lower.size() > kMaxOverlayLayers)
    return Error{Kind::invalid, format_text("{} layers: the kernel stacks at most {}", layers.lower.size(),
                                            kMaxOverlayLayers)}
        .hint("squash the image into fewer layers");
  if (layers.upper.empty() != layers.work.empty())
    return Error{Kind::invalid, "an overlay needs both an upper and a work directory, or neither"};
  return ok();
}

bool is_read_only(const OverlayLayers& layers) { return layers.read_only || layers.upper.empty(); }

// What the kernel's EINVAL means here, found by asking the file system below `upper`.
// Source: overlayfs.rst, "Upper and lower filesystems".
std::string explain_upper(const OverlayLayers& layers) {
  if (layers.upper.empty()) return "the kernel log (dmesg) names the layer it refused";
  const auto fd = sys::openat(AT_FDCWD, layers.upper, O_PATH | O_DIRECTORY);
  if (!fd.has_value()) return "the upper directory cannot be opened";
  const auto info = sys::fstatfs(fd.value().get());
  if (!info.has_value()) return "the upper directory's file system does not answer";
  if (info.value().f_type == OVERLAYFS_SUPER_MAGIC)
    return format_text("{} is itself on an overlay, which cannot be an upper layer: keep the store on a "
                       "disk file system or a tmpfs", quote(layers.upper));
  if (info.value().f_type == NFS_SUPER_MAGIC) return "NFS cannot hold an upper layer: keep the store on a local disk";
  return "the file system of the upper directory must have extended attributes, d_type and RENAME_WHITEOUT, and "
         "hold the work directory too (XFS: ftype=1)";
}

Error explain(Error error, const OverlayLayers& layers) {
  switch (error.os_errno()) {
    case EINVAL:
    case EXDEV:
    case EOPNOTSUPP: return std::move(error).hint(explain_upper(layers)).as(Kind::unsupported);
    case EBUSY: return std::move(error).hint("another overlay uses this upper or work directory");
    case ELOOP: return std::move(error).hint("a layer lies inside another one, or an overlay is stacked too deep");
    case ENODEV: return std::move(error).hint("the kernel has no overlay file system: modprobe overlay");
    case EPERM: return std::move(error).hint("mounting needs CAP_SYS_ADMIN");
    default: return error;
  }
}

template <class T>
Result<T> explained(Result<T> result, const OverlayLayers& layers) {
  if (!result.has_value()) return explain(std::move(result).error(), layers);
  return result;
}

// An overlay without an upper needs two lowers, so one alone is bound.
Result<UniqueFd> bind_layer(const std::string& path) {
  auto mount = TRY(sys::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE));
  const auto info = TRY(sys::fstat(mount.get()));
  if (!S_ISDIR(info.st_mode)) return Error{Kind::invalid, format_text("the layer {} is no directory", quote(path))};
  TRY(sys::mount_setattr(mount.get(), "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE}));
  return mount;
}

// The options as one text. The descriptors must be opened in the namespace that mounts: the kernel
// clones each layer's mount and refuses one of another namespace.
struct TextOptions {
  std::vector<LayerPath> layers;
  std::string text;
};
Result<TextOptions> open_text_options(const OverlayLayers& layers) {
  TextOptions options;
  const auto add = [&](const char* before, const std::string& path) -> Status {
    options.layers.push_back(TRY(LayerPath::open_short(path)));
    options.text += before + options.layers.back().text();
    return ok();
  };
  for (const auto& path : layers.lower) TRY(add(options.text.empty() ? "lowerdir=" : ":", path));
  if (!layers.upper.empty()) {
    TRY(add(",upperdir=", layers.upper));
    TRY(add(",workdir=", layers.work));
  }
  for (const auto& [key, value] : kFixedOptions) options.text += format_text(",{}={}", key, value);
  if (options.text.size() < kPage) return options;
  return Error{Kind::unsupported, format_text("{} layers need {} bytes of mount options, of at most {}",
                                              layers.lower.size(), options.text.size(), kPage - 1)}
      .hint("kernel 6.8 takes up to 500 layers; on this one squash the image into fewer");
}

// Runs on a thread of its own, whose mount namespace dies with it: mount(2) can only attach, so the
// mount is made where nobody sees it and a detached clone is taken along.
Result<UniqueFd> mount_in_own_namespace(const OverlayLayers& layers) {
  TRY(sys::unshare(CLONE_NEWNS));
  TRY(sys::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, {.propagation = MS_PRIVATE}));
  const auto options = TRY(open_text_options(layers));
  const auto& target = layers.lower.front();  // exists, and only this thread sees the mount on it
  const unsigned long flags = is_read_only(layers) ? MS_RDONLY : 0;
  TRY(sys::mount("overlay", target, "overlay", flags, options.text));
  return sys::open_tree(AT_FDCWD, target, OPEN_TREE_CLONE);
}

}  // namespace

Result<UniqueFd> mount_overlay_by_layer(const OverlayLayers& layers) {
  const auto fs = TRY(explained(sys::fsopen("overlay"), layers));
  std::vector<LayerPath> open_until_create;  // see LayerPath
  const auto add = [&](const char* key, const std::string& path) -> Status {
    auto layer = TRY(LayerPath::open(path));
    auto added = explained(sys::fsconfig_string(fs.get(), key, layer.text()), layers);
    if (!added.has_value()) return std::move(added).during(format_text("layer {}", quote(path)));
    open_until_create.push_back(std::move(layer));
    return ok();
  };
  TRY(sys::fsconfig_string(fs.get(), "source", "overlay"));
  for (const auto& path : layers.lower) TRY(add("lowerdir+", path));
  if (!layers.upper.empty()) {
    TRY(add("upperdir", layers.upper));
    TRY(add("workdir", layers.work));
  }
  for (const auto& [key, value] : kFixedOptions) TRY(explained(sys::fsconfig_string(fs.get(), key, value), layers));
  TRY(explained(sys::fsconfig_create(fs.get()), layers));
  return explained(sys::fsmount(fs.get(), is_read_only(layers) ? MOUNT_ATTR_RDONLY : 0U), layers);
}

Result<UniqueFd> mount_overlay_by_text(const OverlayLayers& layers) {
  Result<UniqueFd> mount = Error{Kind::internal, "the mount thread did not run"};
  std::thread{[&] { mount = mount_in_own_namespace(layers); }}.join();
  return explained(std::move(mount), layers);
}

Result<UniqueFd> mount_overlay_detached(const OverlayLayers& layers) {
  TRY(check_layers(layers).during("mount overlay"));
  if (layers.lower.size() == 1 && layers.upper.empty()) return bind_layer(layers.lower.front()).during("bind layer");
  auto mount = kernel::has_overlay_lowerdir_append() ? mount_overlay_by_layer(layers) : mount_overlay_by_text(layers);
  return std::move(mount).during("mount overlay");
}

Status attach(const UniqueFd& mount, const std::string& target) {
  return sys::move_mount(mount.get(), "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH).during("attach mount");
}

Status detach(const std::string& target) {
  auto done = sys::umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (done.has_value()) return ok();
  // umount2 says EINVAL when nothing is mounted there.
  const int err = done.error().os_errno();
  if (err == ENOENT || err == EINVAL) return ok();
  return std::move(done).during("detach mount");
}

Result<bool> is_mount_point(const std::string& path) {
  auto answer = sys::is_mount_root(AT_FDCWD, path);
  if (!answer.has_value() && answer.error().kind() == Kind::not_found) return false;
  return answer;
}

}  // namespace husk::rootfs
