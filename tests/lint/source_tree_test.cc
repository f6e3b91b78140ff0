#include "lint/source_tree.h"

#include <dirent.h>

#include <algorithm>
#include <cctype>

#include "harness/harness.h"

namespace husk::lint {
namespace {

void walk(const std::string& folder, std::vector<SourceFile>& into) {
  const auto root = test::source_dir() + "/" + folder;
  const auto fd = sys::openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(fd);
  auto entries = sys::list_dir(fd.value().get());
  REQUIRE_OK(entries);
  std::ranges::sort(entries.value(), {}, &sys::DirEntry::name);
  for (const auto& entry : entries.value()) {
    const auto path = folder.empty() ? entry.name : folder + "/" + entry.name;
    if (path == "build" || entry.name == "__pycache__" || (entry.name.starts_with('.') && entry.type == DT_DIR)) continue;
    if (entry.type == DT_DIR) walk(path, into);
    if (entry.type != DT_REG) continue;
    auto text = read_file(root + "/" + entry.name);
    if (text.has_value()) into.push_back({.path = path, .text = std::move(text).value()});
  }
}

// Reads C++ text once, telling code from comments and literals.
class Stripper {
 public:
  explicit Stripper(std::string_view text) : text_{text} {}
  std::string run() {
    while (at_ < text_.size()) step();
    return std::move(out_);
  }

 private:
  bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  void step() {
    if (starts("//")) return skip_to("\n", 0);
    if (starts("/*")) return skip_to("*/", 2);
    if (starts("R\"") && !after_word()) return raw_string();
    if (text_[at_] == '"') return literal('"');
    if (text_[at_] == '\'' && !after_word()) return literal('\'');  // 1'000 is a number
    out_ += text_[at_++];
  }
  bool after_word() const {
    return at_ > 0 && (std::isalnum(static_cast<unsigned char>(text_[at_ - 1])) != 0 || text_[at_ - 1] == '_');
  }
  void skip_to(std::string_view end, std::size_t length) {
    const auto found = text_.find(end, at_);
    const auto stop = found == std::string_view::npos ? text_.size() : found + length;
    for (; at_ < stop; ++at_)
      if (text_[at_] == '\n') out_ += '\n';
  }
  void raw_string() {
    const auto open = text_.find('(', at_);
    if (open == std::string_view::npos) return skip_to("\n", 0);
    const auto end = ")" + std::string{text_.substr(at_ + 2, open - at_ - 2)} + "\"";
    out_ += "\"";
    skip_to(end, end.size());
    out_ += "\"";
  }
  void literal(char quote) {
    out_ += quote;
    for (++at_; at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n'; ++at_)
      if (text_[at_] == '\\') ++at_;
    out_ += quote;
    ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

const std::vector<SourceFile>& source_tree() {
  static const auto kFiles = [] {
    std::vector<SourceFile> found;
    walk("", found);
    return found;
  }();
  return kFiles;
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::vector<const SourceFile*> files(std::initializer_list<std::string_view> endings,
                                     std::initializer_list<std::string_view> folders) {
  std::vector<const SourceFile*> found;
  for (const auto& file : source_tree()) {
    const auto ends = [&](std::string_view ending) { return file.path.ends_with(ending); };
    const auto below = [&](std::string_view folder) { return is_below(file.path, folder); };
    if (std::ranges::none_of(endings, ends)) continue;
    if (folders.size() != 0 && std::ranges::none_of(folders, below)) continue;
    found.push_back(&file);
  }
  return found;
}

bool exists(std::string_view path) {
  return std::ranges::any_of(source_tree(), [&](const SourceFile& file) { return is_below(file.path, path); });
}

std::string code_only(std::string_view text) { return Stripper{text}.run(); }

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (const auto line : split(text, '\n')) lines.push_back({.number = lines.size() + 1, .text = line});
  if (!lines.empty() && lines.back().text.empty()) lines.pop_back();
  return lines;
}

std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> includes;
  for (const auto& line : lines_of(text)) {
    if (!line.text.starts_with("#include ")) continue;
    const auto name = trim(line.text.substr(9));
    if (name.size() < 2) continue;
    const auto end = name.find(name.front() == '<' ? '>' : '"', 1);
    if (end == std::string_view::npos) continue;
    includes.push_back({.line = line.number, .name = std::string{name.substr(1, end - 1)}, .quoted = name.front() == '"'});
  }
  return includes;
}

std::string resolve(std::string_view from, std::string_view name) {
  const std::string folder{from.substr(0, from.rfind('/') + 1)};
  for (const std::string& prefix : {folder, std::string{}, std::string{"runtime/"}, std::string{"tests/"}}) {
    const auto path = prefix + std::string{name};
    const auto same = [&](const SourceFile& file) { return file.path == path; };
    if (std::ranges::any_of(source_tree(), same)) return path;
  }
  return {};
}

void report(const std::vector<std::string>& violations) {
  const auto text = join(violations, "\n");
  CHECK_MESSAGE(violations.empty(), format_text("{} violations:\n{}", violations.size(), text));
}

namespace {

TEST_CASE("the tree is there and its own rules can be read") {
  CHECK(source_tree().size() > 100);
  CHECK(exists("runtime/base/sys.cc"));
  CHECK(exists("runtime/base"));
  CHECK_FALSE(exists("runtime/bas"));
  CHECK(resolve("oci-spec/json.cc", "base/result.h") == "runtime/base/result.h");
  CHECK(resolve("oci-spec/json.cc", "oci-spec/json.h") == "oci-spec/json.h");
  CHECK(resolve("oci-spec/json.cc", "json.h") == "oci-spec/json.h");
  CHECK(resolve("oci-spec/json.cc", "cri.pb.h").empty());
}

TEST_CASE("comments and literals are no code") {
  CHECK(code_only("a // errno\nb /* errno\n */ c") == "a \nb \n c");
  CHECK(code_only("f(\"er\\\"rno\", 'x', '\\'', 1'000)") == "f(\"\", '', '', 1'000)");
  CHECK(code_only("R\"(a\"b\n{)\" x") == "\"\n\" x");
  CHECK(code_only("R\"sql(a)\")sql\";") == "\"\";");
}

TEST_CASE("includes are found with their line") {
  const auto found = includes_of("// x\n#include <a.h>\n#include \"b/c.h\"  // why\n");
  REQUIRE(found.size() == 2);
  CHECK(found.at(0).name == "a.h");
  CHECK_FALSE(found.at(0).quoted);
  CHECK(found.at(1).line == 3);
  CHECK(found.at(1).name == "b/c.h");
}

}  // namespace
}  // namespace husk::lint
