// config.md#linux-mount-options: every option of the table, one row each.
#include "rootfs/mount_options.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <set>

#include "harness/harness.h"

using namespace husk;
using rootfs::MountOptions;
using rootfs::parse_mount_options;
using rootfs::Settings;

namespace {

MountOptions parsed(const std::vector<std::string>& options) {
  const auto result = parse_mount_options(options);
  REQUIRE_OK(result);
  return result.value();
}

struct AttributeRow {
  const char* name;
  std::uint64_t set;
  std::uint64_t clear;
};
// The same for a mount ("noexec") and for a tree ("rnoexec").
constexpr AttributeRow kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0}, {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0}, {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0}, {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0}, {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0}, {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0}, {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME}, {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME}, {"norelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

struct PropagationRow {
  const char* name;
  std::uint64_t type;
};
constexpr PropagationRow kPropagations[] = {
    {"private", MS_PRIVATE}, {"shared", MS_SHARED}, {"slave", MS_SLAVE}, {"unbindable", MS_UNBINDABLE}};

constexpr const char* kSuperblock[] = {"async", "dirsync", "lazytime", "mand", "nolazytime", "nomand", "sync"};
constexpr const char* kNoEffect[] = {"defaults", "iversion", "loud", "noiversion", "silent"};
constexpr const char* kSpecial[] = {"bind",   "copy-symlink", "dest-nofollow", "idmap",    "rbind",
                                    "remount", "ridmap",       "src-nofollow",  "tmpcopyup"};

bool changes_nothing(const MountOptions& options) {
  return !options.bind && !options.remount && !options.copy_up && !options.id_map && options.attributes_set == 0 &&
         options.attributes_clear == 0 && options.recursive_set == 0 && options.recursive_clear == 0 &&
         options.propagation == 0 && options.superblock.empty() && options.data.empty();
}

}  // namespace

TEST_CASE("config.md#linux-mount-options: attributes of one mount") {
  for (const auto& row : kAttributes) {
    CAPTURE(row.name);
    const auto options = parsed({row.name});
    CHECK(options.attributes_set == row.set);
    CHECK(options.attributes_clear == row.clear);
    CHECK(options.recursive_set == 0);
    CHECK(options.recursive_clear == 0);
    CHECK(options.data.empty());
  }
}

TEST_CASE("config.md#linux-mount-options: attributes of a tree, with the prefix r") {
  for (const auto& row : kAttributes) {
    const auto name = "r" + std::string{row.name};
    CAPTURE(name);
    const auto options = parsed({name});
    CHECK(options.recursive_set == row.set);
    CHECK(options.recursive_clear == row.clear);
    CHECK(options.attributes_set == 0);
    CHECK(options.attributes_clear == 0);
    CHECK(options.data.empty());
  }
}

TEST_CASE("config.md#linux-mount-options: propagation, with and without the prefix r; the last one counts") {
  for (const auto& row : kPropagations) {
    CAPTURE(row.name);
    CHECK(parsed({row.name}).propagation == row.type);
    CHECK(!parsed({row.name}).propagation_recursive);
    CHECK(parsed({"r" + std::string{row.name}}).propagation == row.type);
    CHECK(parsed({"r" + std::string{row.name}}).propagation_recursive);
    const auto later = parsed({"rshared", row.name});
    CHECK(later.propagation == row.type);
    CHECK(!later.propagation_recursive);
  }
}

TEST_CASE("config.md#linux-mount-options: flags of the file system are handed to fsconfig") {
  for (const auto* name : kSuperblock) {
    CAPTURE(name);
    const auto options = parsed({name});
    CHECK(options.superblock == Settings{{name, ""}});
    CHECK(options.data.empty());
  }
  CHECK(parsed({"sync", "async"}).superblock == Settings{{"async", ""}});
  CHECK(parsed({"nolazytime", "lazytime", "lazytime"}).superblock == Settings{{"lazytime", ""}});
}

TEST_CASE("config.md#linux-mount-options: options without an effect of their own are known") {
  for (const auto* name : kNoEffect) {
    CAPTURE(name);
    CHECK(changes_nothing(parsed({name})));
  }
}

TEST_CASE("config.md#linux-mount-options: bind, rbind, remount, tmpcopyup, idmap, ridmap") {
  CHECK(parsed({"bind"}).bind);
  CHECK(!parsed({"bind"}).recursive_bind);
  CHECK(parsed({"rbind"}).bind);
  CHECK(parsed({"rbind"}).recursive_bind);
  CHECK(parsed({"remount"}).remount);
  CHECK(parsed({"tmpcopyup"}).copy_up);
  CHECK(parsed({"idmap"}).id_map);
  CHECK(!parsed({"idmap"}).id_map_recursive);
  CHECK(parsed({"ridmap"}).id_map);
  CHECK(parsed({"ridmap"}).id_map_recursive);
}

TEST_CASE("crun's options for links: copy-symlink, src-nofollow, dest-nofollow") {
  CHECK(parsed({"copy-symlink"}).copy_link);
  CHECK(parsed({"src-nofollow"}).source_nofollow);
  CHECK(parsed({"dest-nofollow"}).place_nofollow);
  const auto none = parsed({"bind"});
  CHECK(!(none.copy_link || none.source_nofollow || none.place_nofollow));
  const auto both = parsed({"bind,src-nofollow", "dest-nofollow"});
  CHECK((both.source_nofollow && both.place_nofollow && !both.copy_link && both.data.empty()));
}

TEST_CASE("features.md#mount-options: the list names every option once, and the tests above cover each") {
  std::set<std::string> tested;
  for (const auto& row : kAttributes) tested.insert({row.name, "r" + std::string{row.name}});
  for (const auto& row : kPropagations) tested.insert({row.name, "r" + std::string{row.name}});
  for (const auto* name : kSuperblock) tested.insert(name);
  for (const auto* name : kNoEffect) tested.insert(name);
  for (const auto* name : kSpecial) tested.insert(name);
  const auto names = rootfs::mount_option_names();
  CHECK(std::ranges::is_sorted(names));
  CHECK(std::set<std::string>(names.begin(), names.end()) == tested);
  CHECK(names.size() == tested.size());
  for (const auto& name : names) {
    CAPTURE(name);
    CHECK(parsed({name}).data.empty());
  }
}

TEST_CASE("a later option wins over its opposite") {
  CHECK(parsed({"ro", "rw"}).attributes_set == 0);
  CHECK(parsed({"ro", "rw"}).attributes_clear == MOUNT_ATTR_RDONLY);
  CHECK(parsed({"rw", "ro"}).attributes_set == MOUNT_ATTR_RDONLY);
  CHECK(parsed({"rw", "ro"}).attributes_clear == 0);
  CHECK(parsed({"noatime", "strictatime"}).attributes_set == MOUNT_ATTR_STRICTATIME);
  CHECK(parsed({"nodiratime", "noatime", "diratime"}).attributes_set == MOUNT_ATTR_NOATIME);
}

TEST_CASE("config.md#mounts: options that are not in the table are for the file system") {
  CHECK(parsed({"mode=755", "size=64k", "newinstance"}).data == Settings{{"mode", "755"}, {"size", "64k"}, {"newinstance", ""}});
  CHECK(parsed({"mode=755,ro,size=64k"}).data == Settings{{"mode", "755"}, {"size", "64k"}});
  CHECK(parsed({"mode=755,ro,size=64k"}).attributes_set == MOUNT_ATTR_RDONLY);
  CHECK(parsed({"context=\"system_u:object_r:t:s0:c1,c2\""}).data == Settings{{"context", "system_u:object_r:t:s0:c1,c2"}});
  CHECK(parsed({"lowerdir=/a\\,b:/c,upperdir=/u"}).data == Settings{{"lowerdir", "/a\\,b:/c"}, {"upperdir", "/u"}});
  CHECK(parsed({"empty="}).data == Settings{{"empty", ""}});
  CHECK(parsed({"a=b=c"}).data == Settings{{"a", "b=c"}});
  CHECK(parsed({"RO"}).data == Settings{{"RO", ""}});  // names are case-sensitive
}

TEST_CASE("options without a name or with a NUL byte are refused") {
  CHECK(parse_mount_options({"=x"}).error().kind() == Kind::invalid);
  CHECK(parse_mount_options({std::string{"ro\0x", 4}}).error().kind() == Kind::invalid);
  CHECK(changes_nothing(parsed({"", ",,"})));
}
