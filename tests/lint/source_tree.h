// The source tree as text, for the rules of this folder.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace husk::lint {

struct SourceFile {
  std::string path;  // relative to the top: "runtime/base/sys.cc"
  std::string text;
};

// Every file of the tree, without dot-directories and build/. Read once.
const std::vector<SourceFile>& source_tree();
// Those whose name ends in one of `endings` and whose path begins with one of `folders` (none = all).
std::vector<const SourceFile*> files(std::initializer_list<std::string_view> endings,
                                     std::initializer_list<std::string_view> folders = {});
bool exists(std::string_view path);  // a file, or a directory that has files
bool is_below(std::string_view path, std::string_view folder);

// C++ without comments and without the contents of strings and character literals; lines stay lines.
std::string code_only(std::string_view text);

struct Line {
  std::size_t number;  // from 1
  std::string_view text;
};
std::vector<Line> lines_of(std::string_view text);

struct Include {
  std::size_t line;
  std::string name;
  bool quoted;
};
std::vector<Include> includes_of(std::string_view text);
// The file that `#include "name"` in `from` means, or "" when it is no file of ours (generated).
std::string resolve(std::string_view from, std::string_view name);

// Fails the running test case when there are any, one a line.
void report(const std::vector<std::string>& violations);

}  // namespace husk::lint
