#include "images/decompress.h"

#include <zstd.h>

#include <random>

#include "harness/harness.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;
using namespace std::string_literals;

namespace {

std::string gzip(const std::string& text) {
  std::string out;
  GzipWriter writer{[&](std::string_view bytes) {
    out.append(bytes);
    return ok();
  }};
  REQUIRE(writer.write(text).has_value());
  REQUIRE(writer.finish().has_value());
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

Result<std::string> unpack(const std::string& bytes, std::size_t step = 1U << 20U) {
  const auto compression = TRY(detect_compression(bytes));
  const auto decompressor = TRY(make_decompressor(compression));
  std::string out;
  const auto append = [&](std::string_view block) {
    out.append(block);
    return ok();
  };
  for (std::size_t at = 0; at < bytes.size(); at += step) TRY(decompressor->push(std::string_view{bytes}.substr(at, step), append));
  TRY(decompressor->finish());
  return out;
}

std::string pattern(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i * 7919);
  text.resize(size);
  return text;
}

}  // namespace

TEST_CASE("gzip and zstd come out as they went in, in steps of any size") {
  const auto text = pattern(700'000);
  for (const std::size_t step : {1UL, 3UL, 1000UL, 65536UL, 10'000'000UL}) {
    CAPTURE(step);
    CHECK(unpack(gzip(text), step).value() == text);
    CHECK(unpack(zstd(text), step).value() == text);
  }
  CHECK(unpack(gzip("")).value().empty());
  CHECK(unpack("plain text").value() == "plain text");
}

TEST_CASE("RFC 1952: members may follow one another") {
  const auto bytes = gzip("one ") + gzip(pattern(300'000)) + gzip("") + gzip(" three");
  for (const std::size_t step : {1UL, 17UL, 100'000UL}) CHECK(unpack(bytes, step).value() == "one " + pattern(300'000) + " three");
}

TEST_CASE("RFC 8878: frames may follow one another, skippable ones among them") {
  const auto skippable = "\x50\x2a\x4d\x18\x04\0\0\0abcd"s;
  CHECK(unpack(zstd("a") + skippable + zstd("b")).value() == "ab");
  CHECK(unpack(skippable + zstd("b")).value() == "b");
}

TEST_CASE("zero bytes may pad a gzip stream, other garbage is an error with its offset") {
  const auto bytes = gzip("text");
  CHECK(unpack(bytes + std::string(1000, '\0'), 7).value() == "text");
  CHECK(error_text(unpack(bytes + "garbage")).find(format_text("at byte {}", bytes.size())) != std::string::npos);
  CHECK_FALSE(unpack(bytes + std::string(10, '\0') + "x").has_value());
}

TEST_CASE("a damaged or short stream is an error") {
  const auto bytes = gzip(pattern(100'000));
  CHECK(error_text(unpack(bytes.substr(0, bytes.size() - 1))).find("ends in the middle") != std::string::npos);
  CHECK(error_text(unpack(bytes.substr(0, bytes.size() / 2))).find("ends in the middle") != std::string::npos);
  auto damaged = bytes;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  CHECK(error_text(unpack(damaged)).find("checksum") != std::string::npos);
  damaged = bytes;
  damaged[bytes.size() / 2] = static_cast<char>(damaged[bytes.size() / 2] ^ 0x55);
  CHECK_FALSE(unpack(damaged).has_value());
  const auto frame = zstd(pattern(100'000));
  CHECK(error_text(unpack(frame.substr(0, frame.size() - 3))).find("ends in the middle") != std::string::npos);
  damaged = frame;
  damaged[frame.size() / 2] = static_cast<char>(damaged[frame.size() / 2] ^ 0x55);
  CHECK_FALSE(unpack(damaged.substr(0, damaged.size() - 4)).has_value());
}

TEST_CASE("damaged streams end in text or in an error, never in a crash or without end") {
  std::mt19937 random{11};  // NOLINT: the same cases in every run
  std::size_t refused = 0;
  for (int round = 0; round < 2000; ++round) {
    auto bytes = round % 2 == 0 ? gzip(pattern(3000)) + gzip("b") : zstd(pattern(3000)) + zstd("b");
    for (std::size_t i = random() % 3; i <= 2; ++i) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
    if (round % 7 == 0) bytes.resize(4 + random() % (bytes.size() - 4));
    if (!unpack(bytes, 1 + random() % 5000).has_value()) ++refused;
  }
  CHECK(refused > 1000);
}

TEST_CASE("xz and bzip2 are refused by name") {
  CHECK(error_text(unpack("\xfd"
                          "7zXZ\0"s))
            .find("compressed with xz") != std::string::npos);
  CHECK(unpack("BZh91AY").error().kind() == Kind::unsupported);
}

TEST_CASE("layer types: the OCI and Docker ones pass, artifacts and encrypted layers do not") {
  for (const auto* type : {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
                           "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar.gzip",
                           "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"})
    CHECK_OK(check_layer_type(type));
  CHECK(error_text(check_layer_type("application/vnd.oci.image.layer.v1.tar+gzip+encrypted")).find("encrypted") != std::string::npos);
  CHECK_FALSE(check_layer_type("application/json").has_value());
}

TEST_CASE("equal tars give equal gzip bytes, with no time and no name in the header") {
  const auto bytes = gzip(pattern(1000));
  CHECK(bytes == gzip(pattern(1000)));
  CHECK(bytes.substr(0, 10) == "\x1f\x8b\x08\0\0\0\0\0\0\xff"s);
}
