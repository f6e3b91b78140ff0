// cri/cri.proto against the published contract: tests/fixtures/cri-fields.tsv lists every service,
// message, field and enum value of runtime/v1 with its number.
#include <algorithm>
#include <cctype>
#include <set>

#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

const SourceFile& file(std::string_view path) {
  const auto found = std::ranges::find(source_tree(), path, &SourceFile::path);
  REQUIRE(found != source_tree().end());
  return *found;
}

// Words, numbers, texts in quotes and single signs; "map<string,string>" is one word.
std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) tokens.push_back(std::exchange(word, {}));
  };
  for (const auto& line : lines_of(text)) {
    const auto code = line.text.substr(0, line.text.find("//"));
    for (const char c : code) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view{"_.<>,\"/"}.find(c) != std::string_view::npos) {
        word += c;
        continue;
      }
      const bool in_map = c == ' ' && word.starts_with("map<") && !word.ends_with('>');
      if (in_map) continue;
      flush();
      if (c != ' ') tokens.emplace_back(1, c);
    }
    flush();
  }
  return tokens;
}

// Reads our proto's subset: enums may stand in a message, messages and oneof may not.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view text) : tokens_{tokens_of(text)} {}

  std::set<std::string> run() {
    while (at_ < tokens_.size()) {
      const auto keyword = next();
      if (keyword == "service") read_service();
      else if (keyword == "message") read_message();
      else if (keyword == "enum") read_enum();
      else skip_statement();
    }
    return std::move(rows_);
  }

 private:
  std::string next() {
    REQUIRE(at_ < tokens_.size());
    return tokens_[at_++];
  }
  void expect(std::string_view token) {
    const auto found = next();
    REQUIRE_MESSAGE(found == token, format_text("expected {} but found {}", token, found));
  }
  void skip_statement() {
    while (next() != ";") {
    }
  }
  void add(std::string_view kind, std::string_view owner, std::string_view name, std::string_view number, std::string_view type,
           std::string_view label) {
    rows_.insert(format_text("{} {} {} {} {} {}", kind, owner, name, number, type, label));
  }
  void read_service() {
    const auto owner = next();
    add("service", owner, "", "", "", "");
    expect("{");
    while (next() == "rpc") read_rpc(owner);
  }
  void read_rpc(const std::string& owner) {
    const auto name = next();
    expect("(");
    const auto request = next();
    expect(")");
    expect("returns");
    expect("(");
    auto response = next();
    const bool stream = response == "stream";
    if (stream) response = next();
    expect(")");
    if (next() == "{") expect("}");
    const auto type = format_text("{} -> {}{}", request, stream ? "stream " : "", response);
    add("rpc", owner, name, "", type, stream ? "server-stream" : "unary");
  }
  void read_message() {
    const auto owner = next();
    add("message", owner, "", "", "", "");
    expect("{");
    for (auto type = next(); type != "}"; type = next()) {
      if (type == "enum") {
        read_enum(owner + ".");
        continue;
      }
      if (type == "reserved" || type == "option") {
        skip_statement();
        continue;
      }
      std::string label = type.starts_with("map<") ? "map" : "singular";
      if (type == "repeated" || type == "optional") label = std::exchange(type, next());
      const auto name = next();
      expect("=");
      add("field", owner, name, next(), type, label);
      skip_statement();
    }
  }
  void read_enum(const std::string& outer = {}) {
    const auto owner = outer + next();
    add("enum", owner, "", "", "", "");
    expect("{");
    for (auto name = next(); name != "}"; name = next()) {
      expect("=");
      add("value", owner, name, next(), "", "");
      skip_statement();
    }
  }

  std::vector<std::string> tokens_;
  std::size_t at_ = 0;
  std::set<std::string> rows_;
};

std::set<std::string> published_rows() {
  std::set<std::string> rows;
  for (const auto& line : lines_of(file("tests/fixtures/cri-fields.tsv").text)) {
    const auto columns = split(line.text, '\t');
    REQUIRE(columns.size() >= 6);
    if (columns[0] == "kind" || columns[0] == "syntax" || columns[0] == "package" || columns[0] == "option") continue;
    rows.insert(format_text("{} {} {} {} {} {}", columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]));
  }
  return rows;
}

TEST_CASE("cri.proto has every service, message, field and value of runtime/v1 with its number, and no other") {
  const auto ours = ProtoReader{file("cri/cri.proto").text}.run();
  const auto published = published_rows();
  CHECK(published.size() > 700);
  std::vector<std::string> violations;
  for (const auto& row : published)
    if (!ours.contains(row)) violations.push_back("missing: " + row);
  for (const auto& row : ours)
    if (!published.contains(row)) violations.push_back("not published: " + row);
  report(violations);
}

TEST_CASE("cri.proto is proto3 of the package that clients call") {
  const auto& text = file("cri/cri.proto").text;
  CHECK(text.find("syntax = \"proto3\";") != std::string::npos);
  CHECK(text.find("package runtime.v1;") != std::string::npos);
}

}  // namespace
}  // namespace husk::lint
