#include "cgroups/tree.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>

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

Status collect(const std::string& directory, std::vector<std::string>& found) {
  const auto fd = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.has_value()) return is_gone(fd.error()) ? ok() : Status{fd.error()};
  const auto entries = sys::list_dir(fd.value().get());
  if (!entries.has_value()) return is_gone(entries.error()) ? ok() : Status{entries.error()};
  for (const auto& entry : entries.value())
    if (entry.type == DT_DIR) TRY(collect(directory + "/" + entry.name, found));
  found.push_back(directory);
  return ok();
}

}  // namespace

Status make_cgroup(const std::string& mount, const std::string& path, std::vector<std::string>& made) {
  const auto directory = mount + path;
  auto done = sys::mkdirat(AT_FDCWD, directory, kMode);
  for (int attempt = 0; attempt < kAttempts && !done.has_value() && done.error().os_errno() == ENOENT; ++attempt) {
    const auto parents = make_parents(mount, path, made);
    if (!parents.has_value()) return explain(parents.error(), directory);
    done = sys::mkdirat(AT_FDCWD, directory, kMode);
  }
  if (!done.has_value()) {
    if (done.error().kind() == Kind::exists) return done;
    return explain(done.error(), directory);
  }
  made.push_back(directory);
  return ok();
}

void remove_empty(const std::vector<std::string>& directories) {
  for (const auto& directory : directories) (void)sys::unlinkat(AT_FDCWD, directory, AT_REMOVEDIR);
}

Result<std::vector<std::string>> find_tree(const std::string& directory) {
  std::vector<std::string> found;
  TRY(collect(directory, found));
  return found;
}

Result<std::vector<pid_t>> tree_processes(const std::string& directory) {
  std::vector<pid_t> processes;
  const auto tree = TRY(find_tree(directory));
  for (const auto& part : tree) {
    // Gone meanwhile, or a threaded group, whose processes its domain lists (EOPNOTSUPP).
    const auto text = read_text(part + "/cgroup.procs");
    for (const auto line : split(text, '\n')) {
      const auto pid = parse_uint32(line);
      if (pid.has_value() && pid.value() != 0) processes.push_back(static_cast<pid_t>(pid.value()));
    }
  }
  std::sort(processes.begin(), processes.end());
  processes.erase(std::unique(processes.begin(), processes.end()), processes.end());
  return processes;
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
  const auto tree = TRY(find_tree(directory));
  for (const auto& part : tree) {
    const auto done = sys::unlinkat(AT_FDCWD, part, AT_REMOVEDIR);
    if (!done.has_value() && !is_gone(done.error())) return done;
  }
  return ok();
}

}  // namespace husk::cgroups
