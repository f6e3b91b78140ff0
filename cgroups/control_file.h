// Control files: one write each, with the usual reason of a refusal as a hint; and what their texts hold.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace husk::cgroups {

// A file with its place: for v1 the controllers have directories of their own.
struct Target {
  std::string path;   // "/sys/fs/cgroup/pods/web-1/memory.max"
  std::string value;
  Need need = Need::required;
  std::string field = {};  // as of ControlFile
};

// Writes in order. A value that the kernel calls invalid is tried once more after the others: pairs
// (limit and memsw, quota and burst) bound each other, and which must go first depends on the old values.
Status write_targets(const std::vector<Target>& targets);

// The same, then `last`; when any of it fails, every file written so far gets its earlier value back.
Status replace_targets(const std::vector<Target>& targets, const std::function<Status()>& last = [] { return ok(); });

// What puts a file that read `before` back after `written`: its text, the line of that device, or what takes the line away.
std::string earlier_value(const std::string& path, std::string_view before, const std::string& written);

// Adds the hint for an error of a cgroup file or directory.
Error explain(Error error, const std::string& path);

// "memory/limit" → `"/linux/resources/memory/limit"`, as an error begins.
std::string pointer_of(std::string_view field);

// "" when absent or unreadable: statistics show what there is.
std::string read_text(const std::string& path);
std::uint64_t read_number(const std::string& path);  // 0 when absent or "max"
// "key 123" on a line of its own; 0 when absent.
std::uint64_t keyed_number(std::string_view text, std::string_view key);
bool has_word(std::string_view text, std::string_view word);  // separated by white space

}  // namespace husk::cgroups
