// The state directory: <root>/<id>/ with state.json, config.json (a copy: later edits of the bundle's
// do not matter, runtime.md#lifecycle step 2), start.sock (where a created container waits) and exit-code.
// A verb that changes a container holds the lock of its directory (flock, gone with the process).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "record.h"
#include "seccomp_cache.h"

namespace husk::runtime {

inline constexpr const char* kStateFile = "state.json";
inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kStartSocket = "start.sock";
inline constexpr const char* kExitFile = "exit-code";

// One container's directory.
class ContainerDir {
 public:
  ContainerDir(std::string path, UniqueFd directory) : path_{std::move(path)}, directory_{std::move(directory)} {}
  const std::string& path() const { return path_; }
  int fd() const { return directory_.get(); }

  Result<Record> read() const;
  Status write(const Record& record) const;
  Result<std::string> read_config() const;
  Status write_config(std::string_view text) const;
  // Puts another text in its place in two steps: what can fail for want of space comes before `change`.
  Status replace_config(std::string_view text, const std::function<Status()>& change) const;
  // How the container's program ended, once somebody who knew it has written it down.
  std::optional<int> find_exit_code() const;
  Status write_exit_code(int code) const;
  Status lock() const;              // waits
  Result<bool> try_lock() const;    // false: another command works on the container
  void unlock() const;
  Status remove() const;
  bool is_gone() const;  // removed since it was opened; its name may belong to another container
  // What the container is doing now. Source: runtime-spec runtime.md#state.
  Result<Phase> live_phase(const Record& record) const;

 private:
  std::string path_;
  UniqueFd directory_;
};

class StateStore {
 public:
  explicit StateStore(std::string root) : root_{std::move(root)} {}
  const std::string& root() const { return root_; }
  // Beside the containers; no container's name begins with a dot.
  SeccompCache seccomp_cache() const { return SeccompCache{root_ + "/.seccomp"}; }

  // Makes the directory of a new container, locked. Errors: exists.
  Result<ContainerDir> reserve(const ContainerId& id) const;
  Result<ContainerDir> open(const ContainerId& id) const;  // errors: not_found
  Result<std::vector<std::string>> ids() const;            // sorted

 private:
  std::string root_;
};

// A container's directory with all that is in it.
Status remove_state(const std::string& directory);

// The texts that callers parse: containerd and go-runc look for "does not exist".
Error does_not_exist(std::string_view id);

}  // namespace husk::runtime
