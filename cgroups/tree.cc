#include "cgroups/tree.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/control_file.h"

namespace husk::cgroups {
namespace {

constexpr mode_t kMode = 0755;

// A parent that holds nothing else may be removed by its last user between our mkdirs.
constexpr int kAttempts = 16;

Status make_parents(const std::string& mount, const std::string& path, std::vector<std::string>& made) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const auto directory = mount + path.substr(0, slash);
    const auto done = sys::mkdirat(AT_FDCWD, directory, kMode);
    if (done.has_value()) {
      made.push_back(directory);
    } else if (!path_exists(directory)) {
      return done.error();
    }
  }
  return ok();
}

bool is_gone(const Error& error) { return error.os_errno() == ENOENT || error.os_errno() == ENODEV; }

// A cgroup on the way down. A container that may make cgroups can nest them deeper than PATH_MAX and than
// our limit on descriptors, so only the innermost one is open; the others are found again through "..".
struct Level {
  std::string name;
  std::vector<std::string> left;  // sub-cgroups to go into
};

struct Visitor {
  std::function<void(int directory)> enter;                          // each
  std::function<Status(int parent, const std::string& name)> leave;  // each below the top, deepest first
};

// What is gone has no sub-cgroups.
Result<Level> look_into(int directory, std::string name) {
  Level level{.name = std::move(name), .left = {}};
  const auto entries = sys::list_dir(directory);
  if (!entries.has_value() && !is_gone(entries.error())) return entries.error();
  if (!entries.has_value()) return level;
  for (const auto& entry : entries.value())
    if (entry.type == DT_DIR) level.left.push_back(entry.name);
  return level;
}

// False: a part was removed while we were in it, which has no way up any more.
Result<bool> walk_once(UniqueFd current, const Visitor& visitor) {
  std::vector<Level> levels{TRY(look_into(current.get(), ""))};
  visitor.enter(current.get());
  for (;;) {
    if (!levels.back().left.empty()) {
      auto name = std::move(levels.back().left.back());
      levels.back().left.pop_back();
      auto next = sys::openat(current.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!next.has_value() && is_gone(next.error())) continue;
      if (!next.has_value()) return std::move(next).error();
      current = std::move(next).value();
      visitor.enter(current.get());
      levels.push_back(TRY(look_into(current.get(), std::move(name))));
      continue;
    }
    const auto name = std::move(levels.back().name);
    levels.pop_back();
    if (levels.empty()) return true;
    auto parent = sys::openat(current.get(), "..", O_RDONLY | O_DIRECTORY);
    if (!parent.has_value() && is_gone(parent.error())) return false;
    if (!parent.has_value()) return std::move(parent).error();
    current = std::move(parent).value();
    TRY(visitor.leave(current.get(), name));
  }
}

// An absent tree is walked at once.
Status walk(const std::string& top, const Visitor& visitor) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto directory = sys::openat(AT_FDCWD, top, O_RDONLY | O_DIRECTORY);
    if (!directory.has_value()) return is_gone(directory.error()) ? ok() : Status{directory.error()};
    if (TRY(walk_once(std::move(directory).value(), visitor))) return ok();
  }
  return Error{Kind::busy, format_text("cgroup {}: parts of it are removed again and again", quote(top)), EBUSY};
}

Status remove_one(int parent, const std::string& path) {
  auto done = sys::unlinkat(parent, path, AT_REMOVEDIR);
  return !done.has_value() && is_gone(done.error()) ? ok() : done;
}

}  // namespace

std::string find_path_of(pid_t process) {
  const auto text = read_text(format_text("/proc/{}/cgroup", process));
  for (const auto line : split(text, '\n'))
    if (line.starts_with("0::/")) return std::string{line.substr(3)};
  return "";
}

// Nothing when it is.
std::optional<Error> check_in_sight(const std::string& mount) {
  const auto root = sys::openat(AT_FDCWD, mount, O_PATH);
  const auto info = root.has_value() ? sys::fstatfs(root.value().get()) : root.error();
  if (info.has_value() && (info.value().f_type == CGROUP_SUPER_MAGIC || info.value().f_type == CGROUP2_SUPER_MAGIC)) return std::nullopt;
  return Error{Kind::unsupported, format_text("{} is a cgroup hierarchy in /proc/self/mountinfo, but another mount hides it", quote(mount))}.hint(
      "unmount what lies over it (findmnt shows the order), or use --cgroup-manager disabled");
}

Status make_cgroup(const std::string& mount, const std::string& path, std::vector<std::string>& made) {
  const auto directory = mount + path;
  auto done = sys::mkdirat(AT_FDCWD, directory, kMode);
  for (int attempt = 0; attempt < kAttempts && !done.has_value() && done.error().os_errno() == ENOENT; ++attempt) {
    const auto parents = make_parents(mount, path, made);
    if (!parents.has_value()) {
      auto hidden = check_in_sight(mount);
      return hidden.has_value() ? *std::move(hidden) : explain(parents.error(), directory);
    }
    done = sys::mkdirat(AT_FDCWD, directory, kMode);
  }
  if (!done.has_value()) {
    if (done.error().kind() == Kind::exists) return done;
    return explain(done.error(), directory);
  }
  made.push_back(directory);
  return ok();
}

Result<UniqueFd> lock_cgroup(const std::string& directory) {
  auto fd = TRY(sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  const auto locked = sys::flock(fd.get(), LOCK_EX | LOCK_NB);
  if (locked.has_value()) return fd;
  if (locked.error().kind() != Kind::busy) return locked.error();
  return Error{Kind::exists, format_text("another container is being made in cgroup {}", quote(directory))}.hint(kOneEach);
}

bool has_older_parent(const std::string& mount, std::span<const std::string> made) {
  return made.empty() || made.front().rfind('/') != mount.size();
}

void remove_empty(const std::vector<std::string>& directories) {
  for (const auto& directory : directories) (void)sys::unlinkat(AT_FDCWD, directory, AT_REMOVEDIR);
}

Result<std::vector<pid_t>> tree_processes(const std::string& directory) {
  std::vector<pid_t> processes;
  const auto collect = [&processes](int cgroup) {
    // Gone meanwhile, or a threaded group, whose processes its domain lists (EOPNOTSUPP).
    const auto text = read_file_at(cgroup, "cgroup.procs");
    if (!text.has_value()) return;
    for (const auto line : split(text.value(), '\n')) {
      const auto pid = parse_uint32(line);
      if (pid.has_value() && pid.value() != 0) processes.push_back(static_cast<pid_t>(pid.value()));
    }
  };
  TRY(walk(directory, {.enter = collect, .leave = [](int, const std::string&) { return ok(); }}));
  std::sort(processes.begin(), processes.end());
  processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
  return processes;
}

Status thaw_tree(const std::string& directory) {
  // The kernel refuses nobody, and who is gone needs no thaw.
  const auto thaw = [](int cgroup) { (void)write_existing(cgroup, "freezer.state", "THAWED"); };
  return walk(directory, {.enter = thaw, .leave = [](int, const std::string&) { return ok(); }});
}

Status signal_processes(const std::vector<pid_t>& processes, int signal) {
  Status result = ok();
  for (const auto pid : processes) {
    auto done = sys::kill(pid, signal);
    if (!done.has_value() && done.error().os_errno() != ESRCH && result.has_value()) result = std::move(done);
  }
  return result;
}

Status remove_empty_tree(const std::string& directory) {
  TRY(walk(directory, {.enter = [](int) {}, .leave = remove_one}));
  return remove_one(AT_FDCWD, directory);
}

}  // namespace husk::cgroups
