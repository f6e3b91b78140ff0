// The last stretch: load the filter, exec. No allocation, no Result: everything was laid out before.
// Also what leads to it: finding the program and refusing one that is this runtime itself.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "handshake.h"
#include "process_plan.h"

namespace husk::runtime {

// Finds args[0] in $PATH of `env`, as the user the program will run as; it must be executable.
// Errors carry the texts that callers parse: `executable file not found in $PATH`,
// `no such file or directory`, `permission denied`: podman derives its exit code from them.
Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env);

// The runtime's own binary, as it is known on the host side.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
};
Result<FileIdentity> own_identity();

// Why an exec of `path` would fail, or may not be done. CVE-2019-5736: a program, a "#!" line or an ELF
// loader that leads to this runtime's own binary (/proc/self/exe) is refused. The result is a hint for the
// case that the kernel does not know the program's format.
Result<std::string> check_program(const std::string& path, const FileIdentity& own);

// What holds the process between loading a filter with a listener and the exec, until the agent has the listener.
struct Gate {
  char* memory = nullptr;  // one page for each descriptor number; the one of the listener is touched
  std::size_t page = 0;
};

struct Payload {
  std::string path;
  ArgBlock argv;
  ArgBlock envp;
  const SeccompFilter* filter = nullptr;  // borrowed
  std::string format_hint;                // for ENOEXEC
  Gate gate;
};
// Makes the gate and tells the other side of it, when the filter has a listener.
Status offer_listener(Payload& payload, const Channel& channel);
// Returns only when the filter or the exec failed, with the reason.
Error exec_payload(const Payload& payload);

}  // namespace husk::runtime
