// Planning a single mount and a whole rootfs, without privileges.
#include "rootfs/mount_plan.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include "harness/harness.h"
#include "rootfs/cgroup_mount.h"
#include "rootfs/rootfs.h"

using namespace husk;
using oci::Mount;
using oci::NamespaceType;
using rootfs::Act;
using rootfs::MountOp;
using rootfs::plan_mount;
using rootfs::RootfsPlan;

namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

MountOp planned(const Mount& mount) {
  const auto op = plan_mount(mount, "/mounts/3");
  REQUIRE_OK(op);
  return op.value();
}

std::string refused(const Mount& mount) {
  const auto op = plan_mount(mount, "/mounts/3");
  return op.has_value() ? "planned" : op.error().to_string();
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

oci::Spec spec_with(std::vector<Mount> mounts) {
  oci::Spec spec;
  spec.root = oci::Root{.path = "rootfs"};
  spec.linux.namespaces = {{.type = NamespaceType::mount}};
  spec.mounts = std::move(mounts);
  return spec;
}

RootfsPlan plan_of(const oci::Spec& spec, const rootfs::PlanOptions& options = {.bundle = "/bundle"}) {
  const auto plan = rootfs::make_plan(spec, options);
  REQUIRE_OK(plan);
  return plan.value();
}

}  // namespace

TEST_CASE("config.md#mounts: bind and rbind, by option or by type") {
  CHECK(planned({.destination = "/a", .source = "/s", .options = {"bind"}}).act == Act::bind);
  CHECK(planned({.destination = "/a", .type = "bind", .source = "/s"}).act == Act::bind);
  CHECK(planned({.destination = "/a", .type = "none", .source = "/s", .options = {"rbind"}}).recursive_bind);
  CHECK(planned({.destination = "/a", .type = "rbind", .source = "/s"}).recursive_bind);
  CHECK(!planned({.destination = "/a", .type = "bind", .source = "/s", .options = {"bind"}}).recursive_bind);
  CHECK(planned({.destination = "/a", .type = "bind", .source = "/s"}).type.empty());
}

TEST_CASE("a bind mount needs a source and takes no options of a file system") {
  CHECK(contains(refused({.destination = "/a", .type = "bind"}), "\"/mounts/3\": mount on \"/a\": a bind mount needs a source"));
  CHECK(contains(refused({.destination = "/a", .type = "bind", .source = "/s", .options = {"r0"}}), "option \"r0\" means nothing"));
  CHECK(contains(refused({.destination = "/a", .type = "bind", .source = "/s", .options = {"tmpcopyup"}}), "tmpfs only"));
  const auto sized = planned({.destination = "/a", .type = "bind", .source = "/s", .options = {"size=1k"}});
  CHECK(sized.unused == "size");
  CHECK(sized.settings.empty());
  CHECK(planned({.destination = "/a", .type = "bind", .source = "/s", .options = {"bind", "sync", "ro"}}).settings.empty());
}

TEST_CASE("config.md#mounts: a fresh mount has a type; settings keep their order; defaults are left out") {
  const auto op = planned({.destination = "/dev", .type = "tmpfs", .source = "tmpfs",
                           .options = {"nosuid", "strictatime", "sync", "async", "dirsync", "mode=755", "size=64k"}});
  CHECK(op.act == Act::fresh);
  CHECK(op.from == "tmpfs");
  CHECK(op.type == "tmpfs");
  CHECK(op.settings == Settings{{"dirsync", ""}, {"mode", "755"}, {"size", "64k"}});
  CHECK(op.attributes_set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME));
  CHECK(contains(refused({.destination = "/a"}), "the mount has no type"));
}

TEST_CASE("read-only is told to file systems with a device, not to virtual ones") {
  CHECK(planned({.destination = "/a", .type = "ext4", .source = "/dev/x", .options = {"ro"}}).settings == Settings{{"ro", ""}});
  CHECK(planned({.destination = "/a", .type = "erofs", .source = "/i", .options = {"rro"}}).settings == Settings{{"ro", ""}});
  CHECK(planned({.destination = "/a", .type = "sysfs", .source = "s", .options = {"ro"}}).settings.empty());
  CHECK(planned({.destination = "/a", .type = "tmpfs", .source = "s", .options = {"ro"}}).settings.empty());
}

TEST_CASE("idmap with a value is refused when no mappings say the same, never left out") {
  CHECK(contains(refused({.destination = "/a", .type = "bind", .source = "/s", .options = {"idmap=uids=0-1000-10"}}), "option \"idmap\" takes no value"));
  CHECK(contains(refused({.destination = "/a", .type = "bind", .source = "/s", .options = {"ridmap=uids=0-1000-10"}}), "option \"ridmap\" takes no value"));
  oci::Mount mapped{.destination = "/a", .type = "bind", .source = "/s", .options = {"ridmap=uids=0-1000-10"}};
  mapped.uid_mappings = mapped.gid_mappings = {{.container_id = 0, .host_id = 1000, .size = 10}};
  const auto op = planned(mapped);
  CHECK(op.id_map_recursive);
  CHECK(op.unused.empty());
}

TEST_CASE("tmpcopyup and idmap are refused where they cannot work") {
  CHECK(planned({.destination = "/a", .type = "tmpfs", .source = "t", .options = {"tmpcopyup"}}).copy_up);
  CHECK(contains(refused({.destination = "/a", .type = "ramfs", .source = "t", .options = {"tmpcopyup"}}), "tmpfs only"));
  CHECK(contains(refused({.destination = "/a", .type = "tmpfs", .source = "t", .options = {"idmap"}}), "only bind mounts"));
}

TEST_CASE("copy-symlink, src-nofollow and dest-nofollow: for binds, and copy-symlink alone") {
  CHECK(planned({.destination = "/a", .type = "bind", .source = "/s", .options = {"copy-symlink"}}).copy_link);
  const auto both = planned({.destination = "/a", .source = "/s", .options = {"rbind", "src-nofollow", "dest-nofollow"}});
  CHECK((both.source_nofollow && both.place_nofollow && !both.copy_link && both.speaks_of_links()));
  CHECK(!planned({.destination = "/a", .type = "bind", .source = "/s"}).speaks_of_links());
  for (const auto* other : {"src-nofollow", "dest-nofollow"}) {
    CAPTURE(other);
    const auto text = refused({.destination = "/a", .type = "bind", .source = "/s", .options = {other, "copy-symlink"}});
    CHECK_MESSAGE(contains(text, "\"/mounts/3\": mount on \"/a\": \"copy-symlink\" and \"" + std::string{other} + "\" exclude each other (hint: "), text);
  }
  for (const auto* option : {"copy-symlink", "src-nofollow", "dest-nofollow"}) {
    CAPTURE(option);
    const auto named = "option \"" + std::string{option} + "\" works on bind mounts only (hint: ";
    CHECK(contains(refused({.destination = "/a", .type = "tmpfs", .source = "t", .options = {option}}), named));
    CHECK(contains(refused({.destination = "/a", .type = "cgroup2", .source = "c", .options = {option}}), named));
    CHECK(contains(refused({.destination = "/a", .options = {"remount", "bind", option}}), named));
  }
}

TEST_CASE("remount: with bind only the flags, without it the file system too") {
  const auto flags = planned({.destination = "/a", .options = {"remount", "bind", "ro", "sync"}});
  CHECK(flags.act == Act::remount);
  CHECK(!flags.reconfigure);
  CHECK(flags.settings.empty());
  const auto all = planned({.destination = "/a", .type = "tmpfs", .source = "t", .options = {"remount", "async", "rw", "size=1m"}});
  CHECK(all.reconfigure);
  CHECK(all.settings == Settings{{"async", ""}, {"size", "1m"}, {"rw", ""}});
  CHECK(planned({.destination = "/a", .options = {"remount", "bind", "rro"}}).recursive_bind);
}

TEST_CASE("destinations are cleaned; the root itself and what is inside /proc are refused") {
  CHECK(planned({.destination = "/a//b/../c/./", .type = "tmpfs", .source = "t"}).to == "/a/c");
  CHECK(planned({.destination = "/../../x", .type = "tmpfs", .source = "t"}).to == "/x");
  CHECK(contains(refused({.destination = "/..", .type = "tmpfs", .source = "t"}), "is the rootfs itself"));
  CHECK(contains(refused({.destination = "/proc/sys", .type = "tmpfs", .source = "t"}), "is inside /proc"));
  CHECK(contains(refused({.destination = "/x/../proc/1", .type = "bind", .source = "/s"}), "is inside /proc"));
  CHECK(refused({.destination = "/proc/meminfo", .type = "bind", .source = "/s"}) == "planned");
  CHECK(refused({.destination = "/process", .type = "bind", .source = "/s"}) == "planned");
  CHECK(refused({.destination = "/proc", .type = "proc", .source = "proc"}) == "planned");
  CHECK(contains(refused({.destination = "/x/../proc", .type = "tmpfs", .source = "t"}), "is no procfs"));
}

TEST_CASE("a NUL byte in a path cannot cut it short") {
  CHECK(contains(refused({.destination = std::string{"/a\0b", 4}, .type = "tmpfs", .source = "t"}), "NUL byte"));
  CHECK(contains(refused({.destination = "/a", .type = "bind", .source = std::string{"/s\0t", 4}}), "NUL byte"));
  CHECK(contains(refused({.destination = "/a", .type = std::string{"tm\0s", 4}, .source = "t"}), "NUL byte"));
}

TEST_CASE("config.md#root: the path is relative to the bundle, or absolute") {
  auto spec = spec_with({});
  CHECK(plan_of(spec).rootfs == "/bundle/rootfs");
  spec.root->path = "/elsewhere";
  spec.root->readonly = true;
  CHECK(plan_of(spec).rootfs == "/elsewhere");
  CHECK(plan_of(spec).readonly_root);
  spec.root->path = "";
  CHECK(!rootfs::make_plan(spec, {}).has_value());
  spec.root.reset();
  CHECK(!rootfs::make_plan(spec, {}).has_value());
}

TEST_CASE("config-linux.md#rootfs-mount-propagation: values, and what mounts inherit") {
  struct Row {
    const char* value;
    std::uint64_t root;
    std::uint64_t bind;
    std::uint64_t fresh;
  };
  for (const auto& row : {Row{"", MS_SLAVE | MS_REC, MS_SLAVE, 0}, Row{"private", MS_PRIVATE, MS_PRIVATE, 0},
                          Row{"rprivate", MS_PRIVATE | MS_REC, MS_PRIVATE, 0}, Row{"slave", MS_SLAVE, MS_SLAVE, 0},
                          Row{"rslave", MS_SLAVE | MS_REC, MS_SLAVE, 0}, Row{"shared", MS_SHARED, MS_PRIVATE, 0},
                          Row{"rshared", MS_SHARED | MS_REC, MS_SHARED, MS_SHARED},
                          Row{"unbindable", MS_UNBINDABLE, MS_PRIVATE, 0},
                          Row{"runbindable", MS_UNBINDABLE | MS_REC, MS_PRIVATE, 0}}) {
    CAPTURE(row.value);
    auto spec = spec_with({{.destination = "/b", .type = "bind", .source = "/s"},
                           {.destination = "/t", .type = "tmpfs", .source = "t"},
                           {.destination = "/own", .type = "bind", .source = "/s", .options = {"unbindable"}}});
    spec.linux.rootfs_propagation = row.value;
    const auto plan = plan_of(spec);
    CHECK(plan.root_propagation == row.root);
    CHECK(plan.mounts[0].propagation == row.bind);
    CHECK(plan.mounts[1].propagation == row.fresh);
    CHECK(plan.mounts[2].propagation == MS_UNBINDABLE);
  }
  auto spec = spec_with({});
  spec.linux.rootfs_propagation = "public";
  CHECK(contains(rootfs::make_plan(spec, {}).error().to_string(), "\"/linux/rootfsPropagation\": \"public\""));
}

TEST_CASE("a relative source of a bind mount is taken from the bundle") {
  const auto plan = plan_of(spec_with({{.destination = "/b", .type = "bind", .source = "data"}}));
  CHECK(plan.mounts[0].from == "/bundle/data");
}

TEST_CASE("config.md#mounts: idmap takes the mount's mappings, then those of the user namespace") {
  auto spec = spec_with({{.destination = "/b", .type = "bind", .source = "/s", .options = {"idmap"}}});
  CHECK(contains(rootfs::make_plan(spec, {.bundle = "/b"}).error().to_string(), "nothing says how"));
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
  spec.linux.gid_mappings = {{.container_id = 0, .host_id = 2000, .size = 1}};
  CHECK(plan_of(spec).mounts[0].uid_mappings[0].host_id == 1000);
  CHECK(plan_of(spec).mounts[0].gid_mappings[0].host_id == 2000);
  spec.mounts[0].uid_mappings = {{.container_id = 0, .host_id = 7, .size = 1}};
  spec.mounts[0].gid_mappings = {{.container_id = 0, .host_id = 8, .size = 1}};
  CHECK(plan_of(spec).mounts[0].uid_mappings[0].host_id == 7);
  auto joined = spec_with({{.destination = "/b", .type = "bind", .source = "/s", .options = {"idmap"}}});
  joined.linux.namespaces.push_back({.type = NamespaceType::user, .path = "/run/userns"});
  CHECK(plan_of(joined).mounts[0].id_map_path == "/run/userns");
}

TEST_CASE("config-linux.md#default-devices: six nodes, unless /dev is bound; configured ones replace them") {
  auto spec = spec_with({});
  CHECK(plan_of(spec).devices.size() == 6);
  CHECK(plan_of(spec).default_devices);
  spec.linux.devices = {{.type = 'c', .path = "/dev//null", .major = 1, .minor = 3, .file_mode = 0600},
                        {.type = 'u', .path = "/dev/x", .major = 9, .minor = 9},
                        {.type = 'c', .path = "/opt/dev", .major = 9, .minor = 9}};
  const auto plan = plan_of(spec);
  CHECK(plan.devices.size() == 8);
  CHECK(plan.devices[5].path == "/dev/null");
  CHECK(plan.devices[5].file_mode == 0600);
  CHECK(plan.devices[6].type == 'c');
  spec.mounts = {{.destination = "/dev/", .type = "bind", .source = "/dev", .options = {"rbind"}}};
  const auto bound = plan_of(spec);
  CHECK(!bound.default_devices);
  CHECK(bound.devices.size() == 1);
  CHECK(bound.devices[0].path == "/opt/dev");
}

TEST_CASE("config-linux.md#mount-label: of what is mounted anew, where the kernel takes it and the mount says nothing") {
  auto spec = spec_with({});
  spec.linux.mount_label = "u:object_r:t:s0:c1,c2";
  spec.mounts = {{.destination = "/a", .type = "tmpfs"},
                 {.destination = "/b", .type = "devpts"},
                 {.destination = "/c", .type = "mqueue"},
                 {.destination = "/d", .type = "tmpfs", .options = {"context=\"u:r:x:s0:c3,c4\""}},
                 {.destination = "/proc", .type = "proc"},
                 {.destination = "/sys", .type = "sysfs"},
                 {.destination = "/e", .type = "bind", .source = "/tmp", .options = {"bind"}}};
  const auto plan = plan_of(spec);
  CHECK(plan.mount_label == spec.linux.mount_label);
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    CAPTURE(i);
    CHECK(plan.mounts.at(i).label == (i < 3 ? spec.linux.mount_label : ""));
  }
}

TEST_CASE("config-linux.md#masked-paths: paths are absolute and inside") {
  for (const auto* path : {"relative", "", "/", "/..", "/x/../.."}) {
    CAPTURE(path);
    auto spec = spec_with({});
    spec.linux.masked_paths = {path};
    CHECK(contains(rootfs::make_plan(spec, {}).error().to_string(), "\"/linux/maskedPaths\""));
    spec.linux.masked_paths.clear();
    spec.linux.readonly_paths = {path};
    CHECK(contains(rootfs::make_plan(spec, {}).error().to_string(), "\"/linux/readonlyPaths\""));
  }
}

TEST_CASE("cgroup mounts: v1, v2 with and without a cgroup namespace, and CVE-2023-25809") {
  auto spec = spec_with({{.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = {"rw", "nosuid"}}});
  CHECK(plan_of(spec).mounts[0].act == Act::cgroup);
  const auto bound = plan_of(spec, {.bundle = "/b", .cgroup2 = true}).mounts[0];
  CHECK(bound.act == Act::bind);
  CHECK(bound.from == "/sys/fs/cgroup");
  CHECK(bound.recursive_bind);
  CHECK((bound.recursive_set & MOUNT_ATTR_RDONLY) == 0);
  const auto foreign = plan_of(spec, {.bundle = "/b", .new_user_namespace = true, .cgroup2 = true}).mounts[0];
  CHECK(foreign.recursive_set == MOUNT_ATTR_RDONLY);
  CHECK((foreign.attributes_clear & MOUNT_ATTR_RDONLY) == 0);
  spec.linux.namespaces.push_back({.type = NamespaceType::cgroup});
  const auto fresh = plan_of(spec, {.bundle = "/b", .new_user_namespace = true, .cgroup2 = true}).mounts[0];
  CHECK(fresh.act == Act::fresh);
  CHECK(fresh.type == "cgroup2");
  CHECK(fresh.recursive_set == 0);
  CHECK(plan_of(spec).cgroup_namespace);
  spec.mounts[0].type = "cgroup2";
  CHECK(plan_of(spec).mounts[0].type == "cgroup2");  // asked for by name, on a v1 host too
}

TEST_CASE("/proc/self/cgroup: named, joined and v2 hierarchies; hostile lines are refused") {
  const auto parsed = rootfs::parse_hierarchies("12:cpu,cpuacct:/a/b\n3:name=systemd:/\n2:pids:/x:y\n0::/init.scope\n");
  REQUIRE_OK(parsed);
  const auto& items = parsed.value();
  REQUIRE(items.size() == 4);
  CHECK(items[0].directory == "cpu,cpuacct");
  CHECK(items[0].options == "cpu,cpuacct");
  CHECK(items[0].aliases == std::vector<std::string>{"cpu", "cpuacct"});
  CHECK(items[0].path == "/a/b");
  CHECK(items[1].directory == "systemd");
  CHECK(items[1].options == "name=systemd");
  CHECK(items[1].aliases.empty());
  CHECK(items[2].path == "/x:y");
  CHECK(items[3].directory == "unified");
  CHECK(items[3].options.empty());
  for (const auto* text : {"x", "1:cpu", "1:cpu:relative", "1:name=../x:/", "1:name=:/", "1:a/b:/"}) {
    CAPTURE(text);
    CHECK(rootfs::parse_hierarchies(text).error().kind() == Kind::invalid);
  }
}

TEST_CASE("clean_path and is_below are lexical and never leave the root") {
  CHECK(rootfs::clean_path("") == "/");
  CHECK(rootfs::clean_path("a/b") == "/a/b");
  CHECK(rootfs::clean_path("/../..//a/./b/..") == "/a");
  CHECK(rootfs::is_below("/a/b", "/a"));
  CHECK(!rootfs::is_below("/ab", "/a"));
  CHECK(!rootfs::is_below("/a", "/a"));
  CHECK(rootfs::is_below("/a", "/"));
}
