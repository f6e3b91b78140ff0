#include "rootfs/id_map.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"

namespace husk::rootfs {
namespace {

// A process can be the only member of a new namespace until its /proc files are written and opened.
Result<UniqueFd> fill(pid_t pid, const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  const auto directory = TRY(sys::openat(AT_FDCWD, format_text("/proc/{}", pid), O_PATH | O_DIRECTORY));
  TRY(write_existing(directory.get(), "uid_map", id_map_text(uids)).during("write uid map of an idmapped mount").hint(
      "mappings must not overlap and need CAP_SETUID"));
  TRY(write_existing(directory.get(), "gid_map", id_map_text(gids)).during("write gid map of an idmapped mount").hint(
      "mappings must not overlap and need CAP_SETGID"));
  return sys::openat(directory.get(), "ns/user", O_RDONLY);
}

}  // namespace

std::string id_map_text(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  for (const auto& item : mappings) text += format_text("{} {} {}\n", item.container_id, item.host_id, item.size);
  return text;
}

Result<UniqueFd> open_id_map(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  auto gate = TRY(sys::pipe2());
  auto clone = TRY(sys::clone3({.flags = CLONE_NEWUSER}).during("make user namespace for an idmapped mount"));
  if (clone.pid == 0) {
    gate.write_end.reset();
    std::array<char, 1> byte{};
    (void)sys::read_some(gate.read_end.get(), byte);  // returns when the parent is done with us, or gone
    ::_exit(0);
  }
  auto filled = fill(clone.pid, uids, gids);
  gate.write_end.reset();
  (void)sys::waitid_pidfd(clone.pidfd.get(), WEXITED);
  return filled;
}

}  // namespace husk::rootfs
