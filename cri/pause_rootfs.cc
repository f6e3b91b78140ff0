#include "cri/pause_rootfs.h"

#include <fcntl.h>

#include "base/file.h"

namespace husk::cri {

Result<std::string> prepare_pause_rootfs(const std::string& directory, const std::string& program) {
  // husk makes missing mount points, but the sandbox's root is read-only and shared: they are made here.
  for (const auto* name : {"/proc", "/dev", "/sys", "/etc"}) TRY(make_directories(directory + name, 0755));
  const auto wanted = TRY(read_file(program).during("read the pause program"));
  const auto path = directory + "/pause";
  const auto there = read_file(path);
  if (!there.has_value() || there.value() != wanted) TRY(write_atomically(AT_FDCWD, path, wanted, 0755));
  return directory;
}

}  // namespace husk::cri
