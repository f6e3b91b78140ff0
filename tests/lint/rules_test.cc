// Rules of one line each, over every source file.
#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

bool is_word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool has_word(std::string_view text, std::string_view word) {
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word_char(text[at - 1]);
    const bool ends = at + word.size() == text.size() || !is_word_char(text[at + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

void find_word(const SourceFile& file, std::string_view text, std::string_view word, std::vector<std::string>& violations) {
  for (const auto& line : lines_of(text))
    if (!line.text.starts_with("#include") && has_word(line.text, word)) violations.push_back(format_text("{}:{}: {}", file.path, line.number, word));
}

// pause includes nothing of ours; payload.cc runs between the last step and exec, where nothing of base may.
bool may_read_errno(std::string_view path) {
  return path.starts_with("runtime/base/sys") || path == "runtime/init/payload.cc" || is_below(path, "runtime/pause") ||
         is_below(path, "tests");
}

TEST_CASE("errno is read in the system call wrappers and nowhere else (style rule 4)") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"}))
    if (!may_read_errno(file->path)) find_word(*file, code_only(file->text), "errno", violations);
  report(violations);
}

TEST_CASE("nothing is left for later in the sources") {
  std::vector<std::string> violations;
  const std::string words[] = {std::string{"TO"} + "DO", std::string{"FIX"} + "ME", std::string{"X"} + "XX"};
  for (const auto* file : files({".cc", ".h", ".md", ".txt", ".py", ".go", ".proto", "/run", ".1", ".5", ".7", ".8"}))
    for (const auto& word : words) find_word(*file, file->text, word, violations);
  report(violations);
}

TEST_CASE("a header is included once, and its own source includes it first") {
  std::vector<std::string> violations;
  for (const auto* file : files({".h"}))
    if (file->text.find("#pragma once") == std::string::npos) violations.push_back(file->path + ": no #pragma once");
  for (const auto* file : files({".cc"})) {
    const auto header = file->path.substr(0, file->path.size() - 2) + "h";
    if (!exists(header)) continue;
    const auto includes = includes_of(file->text);
    if (includes.empty() || resolve(file->path, includes.front().name) != header)
      violations.push_back(format_text("{}: must include {} first", file->path, header));
  }
  report(violations);
}

TEST_CASE("a warning is silenced for a few lines at most, never for a file (style rule 15)") {
  constexpr std::size_t kFewLines = 6;
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    const auto code = code_only(file->text);
    const auto lines = lines_of(code);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].text.find("diagnostic ignored") == std::string_view::npos) continue;
      bool ends = false;
      for (std::size_t k = i; k < std::min(lines.size(), i + kFewLines); ++k)
        ends = ends || lines[k].text.find("diagnostic pop") != std::string_view::npos;
      if (!ends) violations.push_back(format_text("{}:{}: {}", file->path, lines[i].number, lines[i].text));
    }
  }
  report(violations);
}

TEST_CASE("one TRY a statement: a second one leaks the first value when it fails (style 5.1)") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    const auto code = code_only(file->text);
    for (const auto& line : lines_of(code)) {
      const auto first = line.text.find("TRY(");
      if (first == std::string_view::npos || line.text.find("TRY(", first + 4) == std::string_view::npos) continue;
      const auto between = line.text.substr(first, line.text.find("TRY(", first + 4) - first);
      // "c ? TRY(a) : TRY(b)" evaluates one of them; a ";" ends the statement; so does the head of a loop.
      if (between.find(" : ") != std::string_view::npos || between.find(';') != std::string_view::npos) continue;
      if (trim(line.text).starts_with("for (")) continue;
      violations.push_back(format_text("{}:{}: {}", file->path, line.number, trim(line.text)));
    }
  }
  report(violations);
}

TEST_CASE("programs of ours are not started through a shell, and text is not printed by stdio in libraries") {
  std::vector<std::string> violations;
  constexpr std::array<std::string_view, 6> kBanned{"system", "popen", "strcpy", "sprintf", "gets", "tmpnam"};
  for (const auto* file : files({".cc", ".h"}, {"runtime", "oci-spec", "rootfs", "cgroups", "netns", "images", "cri"})) {
    const auto code = code_only(file->text);
    for (const auto& line : lines_of(code))
      for (const auto word : kBanned)
        if (has_word(line.text, word) && (line.text.find(format_text("::{}(", word)) != std::string_view::npos ||
                                          line.text.find(format_text(" {}(", word)) != std::string_view::npos))
          violations.push_back(format_text("{}:{}: {}", file->path, line.number, word));
  }
  report(violations);
}

TEST_CASE("every parser that reads foreign text has a fuzzer of its name (oci-spec)") {
  std::vector<std::string> violations;
  for (const auto* name : {"parse_config", "parse_process", "parse_resources", "parse_mounts", "parse_json", "parse_manifest", "parse_index",
                           "parse_image_config", "digest"})
    if (!exists(format_text("tests/fuzz/{}_fuzz.cc", name))) violations.emplace_back(name);
  report(violations);
}

// The chapters that errors cite are listed in one table; each has a test that names it.
TEST_CASE("every chapter of the runtime specification that an error can cite is the name of a test") {
  std::string names;
  for (const auto* file : files({"_test.cc"}, {"tests"}))
    for (const auto& line : lines_of(file->text))
      if (line.text.starts_with("TEST_CASE(")) names += std::string{line.text} + "\n";
  std::vector<std::string> violations;
  std::size_t chapters = 0;
  for (const auto* file : files({"oci-spec/anchors.cc"})) {
    for (const auto& line : lines_of(file->text)) {
      const auto begin = line.text.find("\"config");
      if (begin == std::string_view::npos) continue;
      const auto chapter = line.text.substr(begin + 1, line.text.find('"', begin + 1) - begin - 1);
      ++chapters;
      if (!has_word(names, chapter)) violations.emplace_back(chapter);
    }
  }
  CHECK(chapters > 40);
  report(violations);
}

TEST_CASE("the top level holds the agreed names and nothing else") {
  const std::set<std::string> allowed{"CMakeLists.txt", "runtime", "cri",   "oci-spec", "rootfs",  "cgroups",           "netns",
                                      "images",         "tests",   "man",   "README.md", "LICENSE", "CMakePresets.json", "quickstart"};
  std::set<std::string> found;
  for (const auto& file : source_tree()) found.insert(file.path.substr(0, file.path.find('/')));
  std::vector<std::string> violations;
  for (const auto& name : found)
    if (!allowed.contains(name) && !name.starts_with('.')) violations.push_back(name);
  report(violations);
}

TEST_CASE("file names say what is inside: no util, common, helper or manager") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    const auto name = file->path.substr(file->path.rfind('/') + 1);
    for (const auto* word : {"util", "common", "helper", "manager", "misc"})
      if (name.find(word) != std::string::npos) violations.push_back(file->path);
  }
  report(violations);
}

}  // namespace
}  // namespace husk::lint
