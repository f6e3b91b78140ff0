// Sizes are smells; these are the hard bounds: 600 lines a file, 60 a function, 120 a README.
#include <algorithm>

#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

constexpr std::size_t kMaxFile = 600;
constexpr std::size_t kMaxFunction = 60;
constexpr std::size_t kMaxReadme = 120;

struct Block {
  std::size_t first_line;
  std::size_t last_line;
  std::string head;  // what stands before the brace
};

bool has_keyword(std::string_view head, std::string_view word) {
  const auto at = head.find(word);
  return at != std::string_view::npos && (at == 0 || head[at - 1] == ' ' || head[at - 1] == '>') &&
         (at + word.size() == head.size() || head[at + word.size()] == ' ');
}

// Namespaces, classes and the like hold functions; everything else with a brace is one thing.
bool is_container(std::string_view head) {
  if (has_keyword(head, "namespace") || has_keyword(head, "extern")) return true;
  if (head.find('(') != std::string_view::npos) return false;
  return has_keyword(head, "class") || has_keyword(head, "struct") || has_keyword(head, "union");
}

bool is_function(std::string_view head) {
  const auto open = head.find('(');
  if (open == std::string_view::npos) return false;
  return head.find("operator") != std::string_view::npos || head.substr(0, open).find('=') == std::string_view::npos;
}

// Finds the outermost braces that are no containers. `code` has no comments and no literals.
class BraceMatcher {
 public:
  std::vector<Block> run(std::string_view code) {
    for (const auto& line : lines_of(code)) {
      if (trim(line.text).starts_with('#')) continue;
      for (const char c : line.text) step(c, line.number);
      if (depth_in_block_ == 0) head_ += ' ';
    }
    return std::move(blocks_);
  }

 private:
  void step(char c, std::size_t line) {
    if (depth_in_block_ > 0) {
      if (c == '{') ++depth_in_block_;
      if (c == '}' && --depth_in_block_ == 0) {
        blocks_.back().last_line = line;
        head_.clear();
      }
      return;
    }
    if (c == '{') {
      const std::string head{trim(head_)};
      head_.clear();
      if (is_container(head)) return;
      blocks_.push_back({.first_line = line, .last_line = line, .head = head});
      depth_in_block_ = 1;
    } else if (c == '}' || c == ';') {
      head_.clear();
    } else {
      head_ += c;
    }
  }
  std::string head_;
  int depth_in_block_ = 0;
  std::vector<Block> blocks_;
};

TEST_CASE("no file of code is longer than 600 lines") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h", ".py", ".go"})) {
    const auto count = lines_of(file->text).size();
    if (count > kMaxFile) violations.push_back(format_text("{}: {} lines", file->path, count));
  }
  report(violations);
}

TEST_CASE("no function is longer than 60 lines") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    const auto code = code_only(file->text);
    for (const auto& block : BraceMatcher{}.run(code)) {
      const auto count = block.last_line - block.first_line + 1;
      if (is_function(block.head) && count > kMaxFunction)
        violations.push_back(format_text("{}:{}: {} lines: {}", file->path, block.first_line, count, block.head.substr(0, 80)));
    }
  }
  report(violations);
}

TEST_CASE("the matcher itself: functions are told from tables, classes and namespaces") {
  const auto blocks = BraceMatcher{}.run(
      "namespace a {\nnamespace {\nstruct S final : B {\n int x = 0;\n void f() const {\n  if (x) {\n  }\n }\n};\n"
      "constexpr std::array kT{\n Row{f(1)},\n};\nbool operator=(int) {\n}\nauto g(int a = 1) -> int {\n return 0;\n}\n}\n}\n");
  REQUIRE(blocks.size() == 4);
  CHECK(blocks.at(0).head == "void f() const");
  CHECK(blocks.at(0).last_line - blocks.at(0).first_line == 3);
  CHECK_FALSE(is_function(blocks.at(1).head));
  CHECK(is_function(blocks.at(2).head));
  CHECK(is_function(blocks.at(3).head));
}

TEST_CASE("each folder has a README of at most 120 lines") {
  std::vector<std::string> violations;
  for (const auto* folder : {"", "runtime/", "runtime/base/", "runtime/monitor/", "runtime/pause/",
                             "oci-spec/", "rootfs/", "cgroups/", "netns/", "images/", "cri/", "tests/", "tests/fuzz/"})
    if (!exists(format_text("{}README.md", folder))) violations.push_back(format_text("{}README.md is missing", folder));
  for (const auto* file : files({"README.md"})) {
    const auto count = lines_of(file->text).size();
    if (count > kMaxReadme) violations.push_back(format_text("{}: {} lines", file->path, count));
  }
  report(violations);
}

// Targets of "[text](target)" outside of code spans and blocks.
std::vector<std::string> links_of(std::string_view text) {
  std::vector<std::string> links;
  bool in_code = false;
  for (const auto& line : lines_of(text)) {
    if (line.text.starts_with("```")) in_code = !in_code;
    if (in_code) continue;
    for (auto at = line.text.find("]("); at != std::string_view::npos; at = line.text.find("](", at + 2)) {
      const auto end = line.text.find(')', at);
      if (end != std::string_view::npos) links.emplace_back(line.text.substr(at + 2, end - at - 2));
    }
  }
  return links;
}

// "cri" + "../man/x.1" → "man/x.1"
std::string join_path(std::string_view folder, std::string_view target) {
  std::vector<std::string> parts;
  for (const auto text : {folder, target}) {
    for (const auto part : split(text, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == ".." && !parts.empty()) parts.pop_back();
      else parts.emplace_back(part);
    }
  }
  return join(parts, "/");
}

TEST_CASE("links in the documents lead to files of the tree") {
  std::vector<std::string> violations;
  for (const auto* file : files({".md"})) {
    const auto slash = file->path.rfind('/');
    const auto folder = slash == std::string::npos ? std::string{} : file->path.substr(0, slash);
    for (const auto& link : links_of(file->text)) {
      if (link.starts_with("http") || link.starts_with('#') || link.starts_with("mailto:")) continue;
      if (!exists(join_path(folder, std::string_view{link}.substr(0, link.find('#')))))
        violations.push_back(format_text("{}: {}", file->path, link));
    }
  }
  report(violations);
}

}  // namespace
}  // namespace husk::lint
