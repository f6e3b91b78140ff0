#include <cstdio>

#include "base/format.h"
#include "base/text.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

// One mount an image: mounting twice gives the same place.
std::string key_of(const std::string& image_id) { return "image-" + image_id.substr(7); }

Result<Image> require_image(ImageTools& store, const std::string& reference) {
  auto image = TRY(store.find(reference));
  if (!image.has_value())
    return Error{Kind::not_found, format_text("no image {}", quote(reference))}.hint("husk-image list shows what is here");
  return std::move(*image);
}

Result<int> run_mount(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  if (invocation.parsed.positional.empty()) {
    const auto views = TRY(store->views());
    for (const auto& view : views)
      std::printf("%s %s/containers/%s/rootfs\n", view.image_id.c_str(), invocation.store.root.c_str(), view.key.c_str());
    return 0;
  }
  const auto image = TRY(require_image(*store, invocation.parsed.positional[0]));
  const auto path = TRY(store->mount_image(image.id, key_of(image.id)));
  std::printf("%s\n", path.c_str());
  return 0;
}

Result<int> run_umount(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  for (const auto& reference : invocation.parsed.positional) {
    const auto image = TRY(require_image(*store, reference));
    TRY(store->unmount_image(key_of(image.id)));
  }
  return 0;
}

}  // namespace

const Verb kMount{"mount", "[IMAGE]", "mount an image read-only and print where; without IMAGE: show what is mounted",
                  {}, 0, 1, 0, run_mount};
const Verb kUmount{"umount", "IMAGE…", "undo mount", {}, 1, 1000, 0, run_umount};

}  // namespace husk::images::cli
