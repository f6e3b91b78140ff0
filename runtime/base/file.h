// Whole files: read, write, replace atomically, remove trees.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk {

inline constexpr std::size_t kMaxTextFile = 64U << 20U;

Result<std::string> read_all(int fd, std::size_t max_bytes = kMaxTextFile);
Result<std::string> read_file(const std::string& path, std::size_t max_bytes = kMaxTextFile);
Result<std::string> read_file_at(int dirfd, const std::string& path, std::size_t max_bytes = kMaxTextFile);

// One write() into an existing file (cgroup, proc and sys files).
Status write_existing(int dirfd, const std::string& path, std::string_view text);

enum class Durable { no, yes };
// Writes a temporary file beside `path` and renames it over: a reader sees the old or the new text,
// never a part. Durable::yes adds fsync of the file and of its directory.
Status write_atomically(int dirfd, const std::string& path, std::string_view text, mode_t mode = 0644,
                        Durable durable = Durable::no);

// A writer that was killed leaves its temporary file: of such a name, in a directory that nobody is writing to, it is
// nobody's.
bool is_temporary(std::string_view name);

Status make_directories(const std::string& path, mode_t mode = 0755);  // like mkdir -p, host paths
// Removes a file or a whole tree, never crossing symlinks. Absence is success. Does not descend into
// mount points: those fail with EBUSY.
Status remove_tree(int dirfd, const std::string& path);
bool path_exists(const std::string& path);  // lstat succeeds
Result<std::string> absolute_path(const std::string& path);  // lexical: joins with the cwd, keeps ".."

}  // namespace husk
