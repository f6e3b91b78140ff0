#include "bundle.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

#include "base/file.h"
#include "base/sys.h"

namespace husk::test {

using oci::NamespaceType;

Bundle::Bundle() {
  REQUIRE_OK(make_directories(rootfs()));
  spec.oci_version = "1.3.0";
  spec.root = oci::Root{.path = "rootfs"};
  spec.linux.namespaces = {{.type = NamespaceType::mount}};
  options.bundle = dir.path();
}

std::string Bundle::host_dir(const std::string& name) const {
  REQUIRE_OK(make_directories(dir / name));
  return dir / name;
}

std::string Bundle::host_file(const std::string& name, std::string_view text) const {
  REQUIRE_OK(put(dir / name, text));
  return dir / name;
}

void Bundle::image_dir(const std::string& path) const { REQUIRE_OK(make_directories(in_rootfs(path))); }

void Bundle::image_file(const std::string& path, std::string_view text) const {
  REQUIRE_OK(make_directories(in_rootfs(path.substr(0, path.rfind('/')))));
  REQUIRE_OK(put(in_rootfs(path), text));
}

void Bundle::image_link(const std::string& path, const std::string& target) const {
  REQUIRE_OK(make_directories(in_rootfs(path.substr(0, path.rfind('/')))));
  REQUIRE_OK(sys::symlinkat(target, AT_FDCWD, in_rootfs(path)));
}

Bundle& Bundle::mount(oci::Mount mount) {
  spec.mounts.push_back(std::move(mount));
  return *this;
}

Bundle& Bundle::bind(const std::string& source, const std::string& destination, std::vector<std::string> options_) {
  return mount({.destination = destination, .type = "bind", .source = source, .options = std::move(options_)});
}

Bundle& Bundle::usual_mounts() {
  mount({.destination = "/proc", .type = "proc", .source = "proc"});
  mount({.destination = "/dev", .type = "tmpfs", .source = "tmpfs", .options = {"nosuid", "strictatime", "mode=755", "size=65536k"}});
  mount({.destination = "/dev/pts", .type = "devpts", .source = "devpts",
         .options = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}});
  mount({.destination = "/dev/shm", .type = "tmpfs", .source = "shm", .options = {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}});
  mount({.destination = "/dev/mqueue", .type = "mqueue", .source = "mqueue", .options = {"nosuid", "noexec", "nodev"}});
  return mount({.destination = "/sys", .type = "sysfs", .source = "sysfs", .options = {"nosuid", "noexec", "nodev", "ro"}});
}

Bundle& Bundle::user_namespace() {
  sandbox.more_namespaces |= CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux.gid_mappings = spec.linux.uid_mappings;
  spec.linux.namespaces.push_back({.type = NamespaceType::user});
  options.new_user_namespace = true;
  REQUIRE_OK(sys::fchownat(AT_FDCWD, rootfs(), 100000, 100000, 0));
  return *this;
}

std::string Bundle::run(const Step& inside, const AppliedStep& before_enter) const {
  const auto plan = rootfs::make_plan(spec, options);
  if (!plan.has_value()) return plan.error().to_string();
  const auto handles = rootfs::prepare(plan.value());
  if (!handles.has_value()) return handles.error().to_string();
  return run_in_namespace(
      [&]() -> Status {
        const auto applied = TRY(rootfs::apply(plan.value(), handles.value(), enter_network));
        if (before_enter) TRY(before_enter(applied));
        TRY(rootfs::enter(plan.value(), applied));
        TRY(rootfs::finish(plan.value()));
        return inside();
      },
      sandbox);
}

Neighbour::Neighbour(const std::function<void()>& act) {
  const auto clone = sys::clone3({});
  REQUIRE_OK(clone);
  if (clone.value().pid == 0) {
    (void)sys::set_parent_death_signal(SIGKILL);
    for (;;) act();
  }
  auto child = Child::adopt(clone.value().pid);
  REQUIRE_OK(child);
  child_ = std::move(child).value();
}

bool is_empty_dir(const std::string& path) {
  const auto fd = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!fd.has_value()) return false;
  const auto entries = sys::list_dir(fd.value().get());
  return entries.has_value() && entries.value().empty();
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string outcome(const Status& done) {
  if (done.has_value()) return "ok";
  const char* name = ::strerrorname_np(done.error().os_errno());
  return name != nullptr ? name : done.error().to_string();
}

Status put(const std::string& path, std::string_view text) {
  const auto fd = TRY(sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return sys::write_all(fd.get(), text);
}

std::string mount_flags(const std::string& target) {
  const auto line = mount_line(target);
  const auto fields = split(line, ' ');
  if (fields.size() < 6) return "";
  return std::string{fields[5]} + " | " + std::string{fields.back()};
}

}  // namespace husk::test
