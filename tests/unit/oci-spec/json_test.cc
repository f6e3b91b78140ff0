#include "harness/harness.h"
#include "oci-spec/json.h"

namespace husk::oci {
namespace {

Json parsed(std::string_view text) {
  const auto json = parse_json(text);
  REQUIRE_OK(json);
  return json.value();
}

std::string refusal(std::string_view text) {
  const auto json = parse_json(text);
  CHECK_FALSE(json.has_value());
  return husk::test::error_text(json);
}

TEST_CASE("values and their types survive dump and parse, members keep their order") {
  constexpr std::string_view kText =
      R"({"z":null,"a":[true,false,0,-1,9223372036854775807,18446744073709551615,-9223372036854775808,1.5,1.0,1e+300],)"
      R"("o":{"":"é\"\\/\u0001"},"e":[],"n":{}})";
  const auto json = parsed(kText);
  const auto again = parsed(json.dump());
  CHECK(again.dump() == json.dump());
  CHECK(json.as_object()->front().name == "z");
  CHECK(parsed(json.dump(2)).dump() == json.dump());
  CHECK(json.find("a")->as_array()->at(8).as_int64() == std::nullopt);  // 1.0 is a real
  CHECK(again.find("a")->as_array()->at(8).as_int64() == std::nullopt);
}

TEST_CASE("integers keep their exact value to both ends of 64 bits; what is larger is no integer") {
  CHECK(parsed("18446744073709551615").as_uint64() == 18446744073709551615ULL);
  CHECK(parsed("18446744073709551615").as_int64() == std::nullopt);
  CHECK(parsed("-9223372036854775808").as_int64() == std::numeric_limits<std::int64_t>::min());
  CHECK(parsed("-1").as_uint64() == std::nullopt);
  CHECK(parsed("18446744073709551616").as_uint64() == std::nullopt);
  CHECK(parsed("9007199254740993").as_int64() == 9007199254740993);  // 2^53 + 1: no way through double
}

TEST_CASE("I-JSON (RFC 7493 section 2.3): a key given twice is an error, in small and in large objects") {
  CHECK(refusal(R"({"a":1,"b":2,"a":3})").find("duplicate key \"a\"") != std::string::npos);
  CHECK(refusal(R"({"a":1,"\u0061":3})").find("duplicate key \"a\"") != std::string::npos);
  CHECK_OK(parse_json(R"({"a":{"a":1},"b":{"a":1}})"));
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += format_text(R"("key{}":1,)", i);
  CHECK_OK(parse_json(text + R"("last":1})"));
  CHECK(refusal(text + R"("key7":1})").find("duplicate key \"key7\"") != std::string::npos);
  CHECK(refusal(text + R"("key99":1})").find("duplicate key \"key99\"") != std::string::npos);
}

TEST_CASE("a large object costs time in proportion to its size") {
  std::string text = "{";
  for (int i = 0; i < 300000; ++i) text += format_text(R"("{}":1,)", i);
  text.back() = '}';
  CHECK(parsed(text).as_object()->size() == 300000);  // the square would take minutes
}

TEST_CASE("depth and size are bounded") {
  const std::string deep(64, '[');
  CHECK_OK(parse_json(deep + std::string(64, ']')));
  CHECK(refusal("[" + deep + std::string(65, ']')).find("nested more than 64 levels") != std::string::npos);
  CHECK(refusal(std::string(1000000, '[')).find("nested more than") != std::string::npos);
  const auto small = parse_json("[1,2,3]", {.max_bytes = 6});
  CHECK(husk::test::error_text(small).find("7 bytes is larger than 6") != std::string::npos);
}

TEST_CASE("broken texts are refused with the byte where they break") {
  for (const auto* text : {"", " ", "{", "[1,]", "{\"a\"}", "nul", "01", "1 2", "'a'", "\"\x01\"", "\"\\x\"", "\"\xff\"",
                           "\"\\ud800\"", "[1]x", "NaN", "// c\n1"}) {
    CAPTURE(text);
    CHECK(refusal(text).find("invalid JSON: byte") != std::string::npos);
  }
}

TEST_CASE("bytes that are no UTF-8 leave as the replacement character") {
  CHECK(Json{"a\xff"}.dump() == R"("a\ufffd")");
}

TEST_CASE("RFC 6901: a pointer escapes \"~\" and \"/\"") {
  CHECK(escape_pointer("a/b~c") == "a~1b~0c");
  const auto json = parsed(R"({"a/b":{"x":[{"y":"text"}]}})");
  const JsonReader reader{json};
  const auto inner = reader.require("a/b");
  REQUIRE_OK(inner);
  const auto list = inner.value().require("x");
  REQUIRE_OK(list);
  const auto elements = list.value().elements();
  REQUIRE_OK(elements);
  const auto number = elements.value().at(0).require("y").value().int64();
  CHECK(husk::test::error_text(number) == "\"/a~1b/x/0/y\": must be an integer, not string");
}

TEST_CASE("a reader checks types and ranges; null counts as absent") {
  const auto json = parsed(R"({"n":null,"s":"x","i":-3,"b":true,"list":["a","b"],"map":{"k":"v"},"zero":"a\u0000"})");
  const JsonReader reader{json};
  CHECK(reader.find_string("n").value() == std::nullopt);
  CHECK(reader.find_string("s").value() == "x");
  CHECK(reader.find_int64("i").value() == -3);
  CHECK_FALSE(reader.find_uint64("i").has_value());
  CHECK_FALSE(reader.find_uint32("s").has_value());
  CHECK(reader.find_boolean("b").value() == true);
  CHECK_FALSE(reader.find_boolean("s").has_value());
  CHECK(reader.find_strings("list").value().size() == 2);
  CHECK_FALSE(reader.find_strings("map").has_value());
  CHECK(reader.find_string_map("map").value().front().second == "v");
  CHECK_FALSE(reader.find_string("zero").has_value());
  CHECK(reader.find_strings("absent").value().empty());
  CHECK_FALSE(reader.require("absent").has_value());
}

TEST_CASE("set replaces, append and push add") {
  Json json = Json::object();
  json.set("a", 1).set("b", Json::array().push("x").push(2)).set("a", true).append("c", 1.5);
  CHECK(json.dump() == R"({"a":true,"b":["x",2],"c":1.5})");
}

}  // namespace
}  // namespace husk::oci
