#include "rootfs/copied_link.h"

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::rootfs {

Result<bool> is_link(const UniqueFd& fd) {
  const auto info = TRY(sys::fstat(fd.get()));
  return S_ISLNK(info.st_mode);
}

Result<std::optional<std::string>> link_to_copy(const MountOp& op, const UniqueFd& source) {
  if (!op.copy_link) return std::nullopt;
  const bool link = TRY(is_link(source));
  if (!link) return std::nullopt;
  auto target = TRY(sys::readlinkat(source.get(), ""));
  return std::optional{std::move(target)};
}

Result<bool> make_link(const RootDir::Place& place, const std::string& target) {
  auto made = sys::symlinkat(target, place.parent.get(), place.name);
  if (made.has_value()) return true;
  if (made.error().kind() != Kind::exists)
    return std::move(made).error().hint("the link cannot be made there: add it to the image");
  const auto there = sys::readlinkat(place.parent.get(), place.name);
  if (there.has_value() && there.value() == target) return false;
  const auto what = there.has_value() ? format_text("a link to {}", quote(there.value())) : std::string{"no symbolic link"};
  return Error{Kind::exists, format_text("the source is a link to {}, and {} is there already", quote(target), what)}.hint(
      "remove it from the image, or leave out copy-symlink to mount what the source leads to");
}

}  // namespace husk::rootfs
