// Tables of oci-spec/README.md and the other READMEs that name tests: each test is there.
#include <algorithm>
#include <set>

#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

constexpr std::string_view kCase = "TEST_CASE(\"";

// The text of a string literal from its first character to the quote that ends it.
std::string literal(std::string_view text) {
  std::string value;
  for (std::size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    value += text[i];
  }
  return value;
}

std::set<std::string> test_names() {
  std::set<std::string> names;
  for (const auto* source : files({"_test.cc"}, {"tests"}))
    for (auto at = source->text.find(kCase); at != std::string::npos; at = source->text.find(kCase, at + 1))
      names.insert(literal(std::string_view{source->text}.substr(at + kCase.size())));
  return names;
}

// A name that ends in "…" stands for those that begin so.
bool has_test(const std::set<std::string>& names, std::string_view wanted) {
  constexpr std::string_view kMore = "…";
  if (!wanted.ends_with(kMore)) return names.contains(std::string{wanted});
  const auto start = wanted.substr(0, wanted.size() - kMore.size());
  const auto found = names.lower_bound(std::string{start});
  return found != names.end() && found->starts_with(start);
}

// Cells of a table's row, without its ends.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (auto at = line.find('|'); at != std::string_view::npos;) {
    const auto next = line.find('|', at + 1);
    if (next == std::string_view::npos) break;
    cells.push_back(line.substr(at + 1, next - at - 1));
    at = next;
  }
  return cells;
}

// The texts in double quotes of a cell: names hold no quotes themselves ("…" stands for the rest of such a name).
std::vector<std::string> quoted_in(std::string_view cell) {
  std::vector<std::string> found;
  for (auto at = cell.find('"'); at != std::string_view::npos;) {
    const auto end = cell.find('"', at + 1);
    if (end == std::string_view::npos) break;
    found.emplace_back(cell.substr(at + 1, end - at - 1));
    at = cell.find('"', end + 1);
  }
  return found;
}

}  // namespace

TEST_CASE("every row of a table headed \"proven by\" names tests that exist") {
  const auto names = test_names();
  REQUIRE(names.size() > 100);
  std::vector<std::string> violations;
  std::size_t rows = 0;
  for (const auto* readme : files({"README.md"})) {
    bool in_table = false;
    for (const auto& line : lines_of(readme->text)) {
      if (!line.text.starts_with('|')) in_table = false;
      else if (line.text.find("| proven by |") != std::string_view::npos) in_table = true;
      else if (in_table && !line.text.starts_with("| ---")) {
        ++rows;
        const auto cells = cells_of(line.text);
        const auto named = cells.empty() ? std::vector<std::string>{} : quoted_in(cells.back());
        if (named.empty()) violations.push_back(format_text("{}:{}: names no test", readme->path, line.number));
        for (const auto& name : named)
          if (!has_test(names, name)) violations.push_back(format_text("{}:{}: there is no test \"{}\"", readme->path, line.number, name));
      }
    }
  }
  CHECK(rows > 50);
  report(violations);
}

}  // namespace husk::lint
