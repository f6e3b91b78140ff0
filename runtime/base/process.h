// Processes: posix_spawn (the only way for a threaded program), Child with a pidfd, exit status.
// Source: man 3 posix_spawn (no code of ours may run between fork and exec while another thread can
// hold the malloc lock).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/sys.h"
#include "base/unique_fd.h"

namespace husk {

// NULL-terminated argv or envp block over owned strings; the pointers live as long as the block.
class ArgBlock {
 public:
  explicit ArgBlock(std::vector<std::string> items);
  char* const* get() const { return pointers_.data(); }
  const std::vector<std::string>& items() const { return items_; }
  ArgBlock(ArgBlock&&) = default;
  ArgBlock& operator=(ArgBlock&&) = default;
  ArgBlock(const ArgBlock&) = delete;
  ArgBlock& operator=(const ArgBlock&) = delete;

 private:
  std::vector<std::string> items_;
  std::vector<char*> pointers_;
};

std::vector<std::string> current_environment();
Result<std::vector<std::string>> own_arguments();  // from /proc/self/cmdline

struct ExitStatus {
  int code = 0;    // exit code, or 128 + signal
  int signal = 0;  // 0, or the signal that ended it
  bool success() const { return code == 0; }
};

// A child process of ours. The destructor kills it and waits; release() lets it live on.
class Child {
 public:
  Child() = default;
  Child(Child&& other) noexcept : pid_{std::exchange(other.pid_, -1)}, pidfd_{std::move(other.pidfd_)} {}
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  static Result<Child> adopt(pid_t pid);
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  Status signal(int number) const;
  Result<ExitStatus> wait();                                    // blocks
  Result<std::optional<ExitStatus>> wait_for(int timeout_ms);   // nullopt: still running
  pid_t release();                                              // no longer ours to end

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

struct SpawnOptions {
  std::string path;                        // absolute; no PATH search
  std::vector<std::string> arguments;      // argv, with argv[0]
  std::optional<std::vector<std::string>> environment;  // absent: ours
  std::optional<std::string> working_directory;
  struct Inherit {
    int from;    // a descriptor of ours
    int target;  // its number in the child
  };
  std::vector<Inherit> descriptors;  // 0, 1, 2 not listed: /dev/null; everything else is closed by O_CLOEXEC
  bool new_session = false;
  bool keep_stdio = false;           // 0, 1, 2 not listed are inherited
};
Result<Child> spawn(const SpawnOptions& options);

struct Output {
  ExitStatus status;
  std::string out;
  std::string err;
};
// Runs to the end and collects both streams, each up to `max_bytes` (the rest is drained).
// timeout_ms < 0: none; on time-out the child is killed and the error is timed_out.
Result<Output> run(SpawnOptions options, int timeout_ms = -1, std::size_t max_bytes = 1U << 20U);

// Absolute path of a program of ours: in the directory of the running executable.
Result<std::string> sibling_program(const std::string& name);

// Absolute path of a program of the host, from $PATH and then the usual places; relative entries are passed over.
Result<std::string> find_host_program(const std::string& name);

// Closes every descriptor from `first` on but those in `kept`. Source: man 2 close_range.
Status close_all_but(unsigned first, std::vector<int> kept);

}  // namespace husk
