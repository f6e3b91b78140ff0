#include "image_directory.h"

#include <sys/stat.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr const char* kParent = "parent";
constexpr const char* kLazySocket = "lazy-pages.socket";  // of criu lazy-pages
constexpr int kMostParents = 64;

Error forged(const std::string& name, std::string_view what) {
  return Error{Kind::denied, format_text("{} is {}", quote(name), what)}.hint("an image that husk checkpoint has written has only files: do not trust this one");
}

Status check_entry(const UniqueFd& directory, const std::string& name) {
  const auto info = TRY(sys::fstatat(directory.get(), name, AT_SYMLINK_NOFOLLOW));
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) return ok();
  if (S_ISSOCK(info.st_mode) && name == kLazySocket) return ok();
  if (!S_ISLNK(info.st_mode)) return forged(name, "no file");
  if (name != kParent) return forged(name, "a symbolic link");
  const auto link = TRY(sys::readlinkat(directory.get(), name));
  return link.starts_with('/') ? Status{forged(name, "an absolute link")} : ok();
}

Status check_chain(const UniqueFd& directory, int depth) {
  bool has_parent = false;
  for (const auto& entry : TRY(sys::list_dir(directory.get()))) {
    TRY(check_entry(directory, entry.name));
    has_parent = has_parent || entry.name == kParent;
  }
  if (!has_parent) return ok();
  if (depth == 0) return Error{Kind::invalid, "too many parents"};
  const auto parent = TRY(sys::openat(directory.get(), kParent, O_RDONLY | O_DIRECTORY));
  return check_chain(parent, depth - 1).during(kParent);
}

}  // namespace

Result<UniqueFd> open_image_directory(const std::string& path, bool make) {
  if (make) {
    auto made = sys::mkdirat(AT_FDCWD, path, 0700);
    if (!made.has_value() && made.error().kind() != Kind::exists) return std::move(made).error();
  }
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

Status check_images(const UniqueFd& directory) { return check_chain(directory, kMostParents); }

Status remove_logs(const UniqueFd& directory, const std::string& verb) {
  for (const auto& name : {verb + ".log", "stats-" + verb}) {
    auto removed = sys::unlinkat(directory.get(), name);
    if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed;
  }
  return ok();
}

}  // namespace husk::runtime
