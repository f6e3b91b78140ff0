#include "images/bundle.h"

#include <sched.h>
#include <sys/mount.h>

#include "base/file.h"
#include "base/format.h"
#include "base/rollback.h"
#include "base/root_dir.h"
#include "base/sys.h"
#include "base/text.h"
#include "oci-spec/json.h"
#include "oci-spec/parse_config.h"
#include "rootfs/overlay.h"

namespace husk::images {
namespace {

constexpr const char* kRecord = "/husk-bundle.json";
constexpr std::array kFiles{"/config.json", "/hosts", "/hostname", "/resolv.conf", kRecord};

Status check_empty(const std::string& directory) {
  const auto fd = TRY(sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(fd.get()));
  if (entries.empty()) return ok();
  return Error{Kind::exists, format_text("{} is not empty", quote(directory))}.hint(
      "give a new directory, or remove the bundle with husk-image bundle --remove");
}

Status write_text(const std::string& path, const std::string& text) {
  return write_atomically(AT_FDCWD, path, text, 0644);
}

Status write_files(const std::string& directory, const BundleRequest& request) {
  TRY(write_text(directory + "/hostname", request.hostname + "\n"));
  std::string hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  if (!request.hostname.empty()) hosts += "127.0.1.1\t" + request.hostname + "\n";
  TRY(write_text(directory + "/hosts", hosts));
  // With the host's network its resolver is right too; without any network there is nobody to ask.
  const auto resolver = request.network == BundleNetwork::host ? read_file("/etc/resolv.conf") : Result<std::string>{""};
  return write_text(directory + "/resolv.conf", resolver.has_value() ? resolver.value() : "");
}

Status bind_rootfs(const std::string& from, const std::string& to) {
  TRY(make_directories(to, 0755));
  const auto tree = TRY(sys::open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | O_CLOEXEC));
  return rootfs::attach(tree, to);
}

Status write_record(const Bundle& bundle) {
  auto json = oci::Json::object();
  json.set("key", oci::Json{bundle.key});
  json.set("image", oci::Json{bundle.image_id});
  return write_text(bundle.directory + kRecord, json.dump(2) + "\n");
}

Status remove_files(const Bundle& bundle) {
  TRY(rootfs::detach(bundle.directory + "/rootfs"));
  for (const auto* name : kFiles) {
    auto gone = sys::unlinkat(AT_FDCWD, bundle.directory + name);
    if (!gone.has_value() && gone.error().kind() != Kind::not_found) return gone;
  }
  // Only when empty: a directory that someone filled meanwhile is not ours to delete.
  (void)sys::unlinkat(AT_FDCWD, bundle.directory + "/rootfs", AT_REMOVEDIR);
  (void)sys::unlinkat(AT_FDCWD, bundle.directory, AT_REMOVEDIR);
  return ok();
}

Result<oci::Spec> fill_rootfs(const Bundle& bundle, const std::string& rootfs, const Image& image,
                              const BundleOptions& options) {
  const auto root = TRY(RootDir::open(rootfs));
  const auto user = TRY(resolve_user(root, options.user.value_or(image.config.user)));
  auto spec = TRY(make_bundle_spec(image.config, user, options.request, bundle.directory));
  // A working directory that the image lacks is made, as docker and podman do.
  TRY(root.make_directories(spec.process->cwd).during("make the working directory"));
  return spec;
}

}  // namespace

Result<Bundle> create_bundle(ImageTools& images, const BundleOptions& options) {
  const auto image = TRY(images.find(options.image));
  if (!image.has_value())
    return Error{Kind::not_found, format_text("no image {}", quote(options.image))}.hint(
        "husk-image list shows what is here, husk-image pull or import brings more");
  Bundle bundle{.directory = TRY(absolute_path(options.directory)), .key = "bundle-" + random_hex(8), .image_id = image->id};
  TRY(make_directories(bundle.directory, 0700));
  TRY(check_empty(bundle.directory));
  Rollback undo;
  undo.on_failure([&] {
    (void)remove_files(bundle);
    (void)images.release_container(bundle.key);
  });
  const auto rootfs = TRY(images.prepare_bundle(bundle.key, image->id));
  TRY(write_record(bundle));
  TRY(bind_rootfs(rootfs.path, bundle.directory + "/rootfs"));
  const auto spec = TRY(fill_rootfs(bundle, rootfs.path, *image, options));
  TRY(write_files(bundle.directory, options.request));
  TRY(write_text(bundle.directory + "/config.json", oci::write_config(spec)));
  undo.commit();
  return bundle;
}

Result<Bundle> open_bundle(const std::string& directory) {
  Bundle bundle{.directory = TRY(absolute_path(directory))};
  const auto text = TRY(read_file(bundle.directory + kRecord, 1U << 16U).hint("this is no bundle made by husk-image"));
  const auto json = TRY(oci::parse_json(text));
  const oci::JsonReader reader{json};
  const auto key = TRY(reader.require("key"));
  bundle.key = TRY(key.string());
  const auto image = TRY(reader.require("image"));
  bundle.image_id = TRY(image.string());
  return bundle;
}

Status remove_bundle(ImageTools& images, const Bundle& bundle) {
  TRY(rootfs::detach(bundle.directory + "/rootfs"));
  TRY(images.release_container(bundle.key));
  return remove_files(bundle);
}

Result<std::string> commit_bundle(ImageTools& images, const Bundle& bundle, const std::string& name, CommitOptions options) {
  const auto text = TRY(read_file(bundle.directory + "/config.json"));
  const auto spec = TRY(oci::parse_config(text));
  for (const auto& mount : spec.mounts) options.mount_targets.push_back(mount.destination);
  return images.commit_with(bundle.key, name, options);
}

}  // namespace husk::images
