// The directories that CRIU reads and writes by name. It follows links, and it is root: what came in an archive, or lies
// where others may write, must not lead it to files of the host.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::runtime {

// Made when missing (mode 0700) if `make` is set.
Result<UniqueFd> open_image_directory(const std::string& path, bool make);

// Only files, but for "parent", a relative link to an image of the same kind. Errors: denied.
Status check_images(const UniqueFd& directory);

// CRIU truncates its log and its statistics ("dump" or "restore") wherever their names lead: they begin anew.
Status remove_logs(const UniqueFd& directory, const std::string& verb);

}  // namespace husk::runtime
