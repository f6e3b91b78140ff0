#include "rootfs/mount_options.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/format.h"
#include "base/text.h"

namespace husk::rootfs {
namespace {

enum class Does : std::uint8_t {
  nothing,          // the default, or something that modern kernels always or never do
  bind, recursive_bind, remount, copy_up, id_map, recursive_id_map,
  copy_link, source_nofollow, place_nofollow,
  set, clear,       // a MOUNT_ATTR_* bit of this mount
  access_time,      // the value of the field MOUNT_ATTR__ATIME
  recursive_set, recursive_clear, recursive_access_time,
  propagate, propagate_recursive,
  superblock,       // a flag for fsconfig
};

struct Row {
  std::string_view name;
  Does does;
  std::uint64_t value = 0;
  std::string_view opposite;  // of a superblock flag
};

// "norelatime" and the like go back to the kernel's default, which is relatime since 2.6.30.
// "iversion": the file systems that count versions do so always; "loud" and "silent": fsopen's messages
// go to the caller, never to the console.
// "copy-symlink", "src-nofollow" and "dest-nofollow" are crun's. Source: man 1 crun, EXTENSIONS TO OCI.
constexpr std::array kTable{
    Row{"async", Does::superblock, 0, "sync"},
    Row{"atime", Does::access_time, MOUNT_ATTR_RELATIME},
    Row{"bind", Does::bind},
    Row{"copy-symlink", Does::copy_link},
    Row{"defaults", Does::nothing},
    Row{"dest-nofollow", Does::place_nofollow},
    Row{"dev", Does::clear, MOUNT_ATTR_NODEV},
    Row{"diratime", Does::clear, MOUNT_ATTR_NODIRATIME},
    Row{"dirsync", Does::superblock},
    Row{"exec", Does::clear, MOUNT_ATTR_NOEXEC},
    Row{"idmap", Does::id_map},
    Row{"iversion", Does::nothing},
    Row{"lazytime", Does::superblock, 0, "nolazytime"},
    Row{"loud", Does::nothing},
    Row{"mand", Does::superblock, 0, "nomand"},
    Row{"noatime", Does::access_time, MOUNT_ATTR_NOATIME},
    Row{"nodev", Does::set, MOUNT_ATTR_NODEV},
    Row{"nodiratime", Does::set, MOUNT_ATTR_NODIRATIME},
    Row{"noexec", Does::set, MOUNT_ATTR_NOEXEC},
    Row{"noiversion", Does::nothing},
    Row{"nolazytime", Does::superblock, 0, "lazytime"},
    Row{"nomand", Does::superblock, 0, "mand"},
    Row{"norelatime", Does::access_time, MOUNT_ATTR_RELATIME},
    Row{"nostrictatime", Does::access_time, MOUNT_ATTR_RELATIME},
    Row{"nosuid", Does::set, MOUNT_ATTR_NOSUID},
    Row{"nosymfollow", Does::set, MOUNT_ATTR_NOSYMFOLLOW},
    Row{"private", Does::propagate, MS_PRIVATE},
    Row{"ratime", Does::recursive_access_time, MOUNT_ATTR_RELATIME},
    Row{"rbind", Does::recursive_bind},
    Row{"rdev", Does::recursive_clear, MOUNT_ATTR_NODEV},
    Row{"rdiratime", Does::recursive_clear, MOUNT_ATTR_NODIRATIME},
    Row{"relatime", Does::access_time, MOUNT_ATTR_RELATIME},
    Row{"remount", Does::remount},
    Row{"rexec", Does::recursive_clear, MOUNT_ATTR_NOEXEC},
    Row{"ridmap", Does::recursive_id_map},
    Row{"rnoatime", Does::recursive_access_time, MOUNT_ATTR_NOATIME},
    Row{"rnodev", Does::recursive_set, MOUNT_ATTR_NODEV},
    Row{"rnodiratime", Does::recursive_set, MOUNT_ATTR_NODIRATIME},
    Row{"rnoexec", Does::recursive_set, MOUNT_ATTR_NOEXEC},
    Row{"rnorelatime", Does::recursive_access_time, MOUNT_ATTR_RELATIME},
    Row{"rnostrictatime", Does::recursive_access_time, MOUNT_ATTR_RELATIME},
    Row{"rnosuid", Does::recursive_set, MOUNT_ATTR_NOSUID},
    Row{"rnosymfollow", Does::recursive_set, MOUNT_ATTR_NOSYMFOLLOW},
    Row{"ro", Does::set, MOUNT_ATTR_RDONLY},
    Row{"rprivate", Does::propagate_recursive, MS_PRIVATE},
    Row{"rrelatime", Does::recursive_access_time, MOUNT_ATTR_RELATIME},
    Row{"rro", Does::recursive_set, MOUNT_ATTR_RDONLY},
    Row{"rrw", Does::recursive_clear, MOUNT_ATTR_RDONLY},
    Row{"rshared", Does::propagate_recursive, MS_SHARED},
    Row{"rslave", Does::propagate_recursive, MS_SLAVE},
    Row{"rstrictatime", Does::recursive_access_time, MOUNT_ATTR_STRICTATIME},
    Row{"rsuid", Does::recursive_clear, MOUNT_ATTR_NOSUID},
    Row{"rsymfollow", Does::recursive_clear, MOUNT_ATTR_NOSYMFOLLOW},
    Row{"runbindable", Does::propagate_recursive, MS_UNBINDABLE},
    Row{"rw", Does::clear, MOUNT_ATTR_RDONLY},
    Row{"shared", Does::propagate, MS_SHARED},
    Row{"silent", Does::nothing},
    Row{"slave", Does::propagate, MS_SLAVE},
    Row{"src-nofollow", Does::source_nofollow},
    Row{"strictatime", Does::access_time, MOUNT_ATTR_STRICTATIME},
    Row{"suid", Does::clear, MOUNT_ATTR_NOSUID},
    Row{"symfollow", Does::clear, MOUNT_ATTR_NOSYMFOLLOW},
    Row{"sync", Does::superblock, 0, "async"},
    Row{"tmpcopyup", Does::copy_up},
    Row{"unbindable", Does::propagate, MS_UNBINDABLE},
};

struct Bits {
  std::uint64_t& set;
  std::uint64_t& clear;
  void turn_on(std::uint64_t bit) const {
    set |= bit;
    clear &= ~bit;
  }
  void turn_off(std::uint64_t bit) const {
    clear |= bit;
    set &= ~bit;
  }
  // The access times are a number of three bits: to change it, all of them are cleared first.
  // Source: man 2 mount_setattr, MOUNT_ATTR__ATIME.
  void choose_access_time(std::uint64_t value) const {
    clear |= MOUNT_ATTR__ATIME;
    set = (set & ~std::uint64_t{MOUNT_ATTR__ATIME}) | value;
  }
};

void use_superblock(Settings& flags, const Row& row) {
  std::erase_if(flags, [&](const auto& item) { return item.first == row.opposite || item.first == row.name; });
  flags.emplace_back(row.name, "");
}

void use(const Row& row, MountOptions& out) {
  const Bits own{out.attributes_set, out.attributes_clear};
  const Bits tree{out.recursive_set, out.recursive_clear};
  switch (row.does) {
    case Does::nothing: break;
    case Does::bind: out.bind = true; break;
    case Does::recursive_bind: out.bind = out.recursive_bind = true; break;
    case Does::remount: out.remount = true; break;
    case Does::copy_up: out.copy_up = true; break;
    case Does::id_map: out.id_map = true; break;
    case Does::recursive_id_map: out.id_map = out.id_map_recursive = true; break;
    case Does::copy_link: out.copy_link = true; break;
    case Does::source_nofollow: out.source_nofollow = true; break;
    case Does::place_nofollow: out.place_nofollow = true; break;
    case Does::set: own.turn_on(row.value); break;
    case Does::clear: own.turn_off(row.value); break;
    case Does::access_time: own.choose_access_time(row.value); break;
    case Does::recursive_set: tree.turn_on(row.value); break;
    case Does::recursive_clear: tree.turn_off(row.value); break;
    case Does::recursive_access_time: tree.choose_access_time(row.value); break;
    case Does::propagate:
    case Does::propagate_recursive:
      out.propagation = row.value;
      out.propagation_recursive = row.does == Does::propagate_recursive;
      break;
    case Does::superblock: use_superblock(out.superblock, row); break;
  }
}

const Row* find_row(std::string_view name) {
  const auto* row = std::ranges::lower_bound(kTable, name, {}, &Row::name);
  return row != kTable.end() && row->name == name ? row : nullptr;
}
static_assert(std::ranges::is_sorted(kTable, {}, &Row::name));

// One text may hold several options, as mount(2) takes them: "mode=755,size=64k". Commas inside double
// quotes (an SELinux context) and after a backslash (an overlay path) belong to the value.
std::vector<std::string> split_data(std::string_view text) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (c == '\\' && i + 1 < text.size()) {
      parts.back() += c;
      parts.back() += text[++i];
    } else if (c == ',' && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Status use_text(const std::string& text, MountOptions& out) {
  if (const auto* row = find_row(text)) {
    use(*row, out);
    return ok();
  }
  const auto equals = text.find('=');
  if (equals == 0) return Error{Kind::invalid, format_text("option {} has no name", quote(text))};
  if (equals == std::string::npos) {
    out.data.emplace_back(text, "");
    return ok();
  }
  std::string value = text.substr(equals + 1);
  // The quotes around a value only protect its commas. Source: man 8 mount, context=.
  if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
  out.data.emplace_back(text.substr(0, equals), std::move(value));
  return ok();
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
  MountOptions out;
  for (const auto& option : options) {
    if (option.find('\0') != std::string::npos)
      return Error{Kind::invalid, format_text("option {} holds a NUL byte", quote(option))};
    for (const auto& text : split_data(option))
      if (!text.empty()) TRY(use_text(text, out));
  }
  return out;
}

std::vector<std::string> mount_option_names() {
  std::vector<std::string> names;
  names.reserve(kTable.size());
  for (const auto& row : kTable) names.emplace_back(row.name);
  return names;
}

}  // namespace husk::rootfs
