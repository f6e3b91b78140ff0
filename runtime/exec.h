// husk exec: another process in a running container, through its init's pidfd.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cgroups/cgroup.h"
#include "foreground.h"
#include "oci-spec/runtime_spec.h"
#include "store.h"

namespace husk::runtime {

// What the command line says; merged with the container's own process.
struct ExecOptions {
  ContainerId id;
  std::string process_file;              // a Process document: nothing else of the flags is merged
  std::vector<std::string> args;
  std::vector<std::string> env;          // "NAME=value"
  std::string user;                      // "UID[:GID]"
  std::string cwd;
  bool terminal = false;
  bool detach = false;
  std::string pid_file;
  std::string console_socket;
  std::string pidfd_socket;
  int preserve_fds = 0;
  bool no_new_privileges = false;
  std::vector<std::string> caps;
  std::vector<std::uint32_t> additional_gids;
  bool ignore_paused = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::vector<cgroups::Below> cgroups;   // below the container's own; empty: there
};

struct UserIds {
  std::uint32_t uid = 0;
  std::optional<std::uint32_t> gid;
};
// "1000", "1000:50". Strict: CVE-2026-30892.
Result<UserIds> parse_user(std::string_view text);

// The values of --cgroup: "PATH" or, for cgroup v1, "CONTROLLER[,CONTROLLER…]:PATH". Pure.
Result<std::vector<cgroups::Below>> parse_cgroups(const std::vector<std::string>& texts);

// The process to run. Pure.
Result<oci::Process> merge_process(const oci::Spec& spec, const ExecOptions& options);

// Runs it. The result is its exit code; 0 at once with detach.
Result<int> exec_in_container(const StateStore& store, const ExecOptions& options);

}  // namespace husk::runtime
