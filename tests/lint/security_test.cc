// runtime/SECURITY.md: each hole has a test, and each test that it names is in the tree.
#include "base/text.h"
#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

bool is_test(std::string_view name) {
  const auto start = std::string{"TEST_CASE(\""} + std::string{name};
  for (const auto* file : files({"_test.cc"}, {"tests"}))
    if (file->text.find(start) != std::string::npos) return true;
  return false;
}

// The texts between backticks.
std::vector<std::string_view> quoted(std::string_view cell) {
  std::vector<std::string_view> found;
  const auto parts = split(cell, '`');
  for (std::size_t i = 1; i < parts.size(); i += 2) found.push_back(parts[i]);
  return found;
}

}  // namespace

TEST_CASE("runtime/SECURITY.md: every row names tests that exist") {
  std::vector<std::string> violations;
  int rows = 0;
  for (const auto* file : files({"SECURITY.md"}, {"runtime"}))
    for (const auto& line : lines_of(file->text)) {
      if (!line.text.starts_with("| ") || line.text.starts_with("| hole") || line.text.starts_with("| ---")) continue;
      const auto cells = split(line.text, '|');
      const auto names = cells.size() < 5 ? std::vector<std::string_view>{} : quoted(cells[3]);
      ++rows;
      if (names.empty()) violations.push_back(format_text("{}:{}: names no test", file->path, line.number));
      for (const auto name : names)
        if (!is_test(name)) violations.push_back(format_text("{}:{}: no test is called {}", file->path, line.number, quote(name)));
    }
  CHECK(rows >= 30);
  report(violations);
}

}  // namespace husk::lint
