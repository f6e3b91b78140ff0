#include "images/tar_reader.h"

#include <random>

#include "harness/harness.h"
#include "images/pax.h"
#include "images/tar_number.h"
#include "images/tar_writer.h"
#include "tar_text.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

struct Collected {
  TarEntry entry;
  std::string data;
};

class Collect final : public TarHandler {
 public:
  Status entry(const TarEntry& entry) override {
    entries.push_back({entry, ""});
    return ok();
  }
  Status data(std::string_view bytes) override {
    entries.back().data.append(bytes);
    return ok();
  }
  Status end_of_entry() override {
    ++ends;
    return ok();
  }
  std::vector<Collected> entries;
  std::size_t ends = 0;
};

Result<std::vector<Collected>> read(const std::string& tar, std::size_t step = 512, const UnpackLimits& limits = {}) {
  Collect collect;
  TarReader reader{collect, limits};
  for (std::size_t at = 0; at < tar.size(); at += step) TRY(reader.push(std::string_view{tar}.substr(at, step)));
  TRY(reader.finish());
  CHECK(collect.ends == collect.entries.size());
  return std::move(collect.entries);
}

std::string failure(const std::string& tar, const UnpackLimits& limits = {}) { return error_text(read(tar, 512, limits)); }

}  // namespace

TEST_CASE("a tar reads the same however its bytes arrive") {
  const auto tar = directory("d") + file("d/a", std::string(1000, 'x')) + file("d/empty") + soft_link("l", "d/a") +
                   pax({{"path", "d/b"}}) + file("other", "b") + tar_end();
  for (const std::size_t step : {1UL, 7UL, 511UL, 512UL, 513UL, 4096UL, 1000000UL}) {
    CAPTURE(step);
    const auto entries = read(tar, step);
    REQUIRE_OK(entries);
    REQUIRE(entries.value().size() == 5);
    CHECK(entries.value()[1].data == std::string(1000, 'x'));
    CHECK(entries.value()[3].entry.link == "d/a");
    CHECK(entries.value()[4].entry.name == "d/b");
    CHECK(entries.value()[4].data == "b");
  }
}

TEST_CASE("ustar: prefix and name are joined; GNU archives have no prefix there") {
  CHECK(read(tar_entry({.name = "b", .prefix = "a"}) + tar_end()).value()[0].entry.name == "a/b");
  const auto gnu = tar_entry({.name = "b", .magic = std::string("ustar  \0", 8), .prefix = "12345670123"});
  CHECK(read(gnu + tar_end()).value()[0].entry.name == "b");
  // A name of exactly 100 bytes has no NUL behind it.
  CHECK(read(file(std::string(100, 'n')) + tar_end()).value()[0].entry.name == std::string(100, 'n'));
}

TEST_CASE("V7: a trailing slash makes a directory") {
  const auto entries = read(tar_entry({.name = "d/", .type = '\0', .magic = std::string(8, '\0')}) + tar_end());
  REQUIRE_OK(entries);
  CHECK(entries.value()[0].entry.type == TarType::directory);
}

TEST_CASE("case 12: ids beyond octal come as base-256 or PAX, sizes beyond 8 GiB too") {
  const std::string big_id("\x80\0\0\0\x7f\xff\xff\xfe", 8);
  auto entries = read(tar_entry({.name = "f", .uid = big_id, .gid = big_id}) + tar_end());
  REQUIRE_OK(entries);
  CHECK(entries.value()[0].entry.uid == 0x7ffffffe);
  entries = read(pax({{"uid", "4294967294"}, {"gid", "2097152"}}) + file("f") + tar_end());
  REQUIRE_OK(entries);
  CHECK(entries.value()[0].entry.uid == 4294967294U);
  CHECK(entries.value()[0].entry.gid == 2097152U);
  CHECK(parse_tar_number(std::string_view("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12)) == 0x200000000LL);
  CHECK(parse_tar_number(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12)) == -2);
  CHECK_FALSE(parse_tar_number(std::string_view("\x80\x01\0\0\0\0\0\0\0\0\0\0", 12)).has_value());
  CHECK_FALSE(parse_tar_number("12x4").has_value());
  CHECK(parse_tar_number("  17 ") == 15);
}

TEST_CASE("CVE-2024-40635: an id that wraps or means \"no change\" is refused, not turned into another") {
  for (const auto* id : {"4294967295", "4294967296", "-1", "18446744073709551616", "1x"}) {
    CAPTURE(id);
    CHECK(failure(pax({{"uid", id}}) + file("f") + tar_end()).find("uid is") != std::string::npos);
  }
  CHECK(failure(tar_entry({.name = "f", .uid = std::string("\x80\0\0\1\0\0\0\0", 8)}) + tar_end()).find("bad uid field") !=
        std::string::npos);
}

TEST_CASE("case 13: GNU long names and links, PAX path and linkpath") {
  const std::string name(3000, 'n');
  const std::string target(2000, 't');
  const auto gnu = tar_entry({.name = "././@LongLink", .type = 'L', .data = name + '\0'}) +
                   tar_entry({.name = "././@LongLink", .type = 'K', .data = target + '\0'}) + soft_link("short", "short");
  const auto entries = read(gnu + pax({{"path", name}, {"linkpath", target}}) + soft_link("s", "t") + tar_end());
  REQUIRE_OK(entries);
  for (const auto& item : entries.value()) {
    CHECK(item.entry.name == name);
    CHECK(item.entry.link == target);
  }
}

TEST_CASE("case 13: SCHILY xattrs keep every byte, LIBARCHIVE ones are base64") {
  const std::string binary("\0\1=\n\xff\0", 6);
  const auto entries =
      read(pax({{"SCHILY.xattr.user.a", binary}, {"LIBARCHIVE.xattr.user.b%20c", "AAE9Cv8A"}}) + file("f") + tar_end());
  REQUIRE_OK(entries);
  const auto& xattrs = entries.value()[0].entry.xattrs;
  REQUIRE(xattrs.size() == 2);
  CHECK(xattrs[0] == std::pair<std::string, std::string>{"user.b c", binary});
  CHECK(xattrs[1] == std::pair<std::string, std::string>{"user.a", binary});
}

TEST_CASE("case 13: a global header is checked, and not applied, as by every peer") {
  const auto entries = read(pax({{"uid", "77"}, {"comment", "x"}}, 'g') + file("f") + tar_end());
  REQUIRE_OK(entries);
  CHECK(entries.value()[0].entry.uid == 0);
  CHECK_FALSE(read(tar_entry({.name = "g", .type = 'g', .data = "nonsense"}) + file("f") + tar_end()).has_value());
}

TEST_CASE("case 14: sparse members are refused by name, in both forms") {
  CHECK(failure(tar_entry({.name = "f", .type = 'S'}) + tar_end()).find("sparse files are not supported") != std::string::npos);
  CHECK(failure(pax({{"GNU.sparse.major", "1"}}) + file("f") + tar_end()).find("sparse files are not supported") !=
        std::string::npos);
  CHECK(read(tar_entry({.name = "f", .type = 'S'}) + tar_end()).error().kind() == Kind::unsupported);
}

TEST_CASE("case 15: times before 1970, beyond 2038, with nanoseconds") {
  struct Row {
    std::string text;
    std::int64_t seconds;
    std::uint32_t nanoseconds;
  };
  for (const auto& row : {Row{"12.25", 12, 250'000'000}, Row{"-1.5", -2, 500'000'000}, Row{"-3", -3, 0},
                          Row{"4294967296.000000001", 4294967296, 1}, Row{"0.1234567899", 0, 123456789}, Row{".5", 0, 500'000'000}}) {
    CAPTURE(row.text);
    const auto entries = read(pax({{"mtime", row.text}}) + file("f") + tar_end());
    REQUIRE_OK(entries);
    CHECK(entries.value()[0].entry.mtime == row.seconds);
    CHECK(entries.value()[0].entry.mtime_ns == row.nanoseconds);
  }
  for (const auto* text : {"1.x", "--1", "1e3", "99999999999999999999"}) CHECK_FALSE(parse_pax_time(text).has_value());
}

TEST_CASE("case 18: devices have a type and numbers in range") {
  const auto entries = read(tar_entry({.name = "c", .type = '3', .dev_major = "0000001", .dev_minor = "0000005"}) +
                            tar_entry({.name = "p", .type = '6'}) + tar_end());
  REQUIRE_OK(entries);
  CHECK(entries.value()[0].entry.device_minor == 5);
  CHECK(entries.value()[1].entry.type == TarType::fifo);
  CHECK(failure(tar_entry({.name = "c", .type = '3', .dev_major = "7777777"}) + tar_end()).find("bad devmajor") != std::string::npos);
}

TEST_CASE("errors name the byte offset of the entry") {
  CHECK(failure(file("a", "x") + tar_entry({.name = "b", .bad_checksum = true}) + tar_end()).find("tar entry at byte 1024: header checksum") !=
        std::string::npos);
  CHECK(failure(file("a") + file("b", "123").substr(0, 600)).find("ends inside this entry, at byte 1112") != std::string::npos);
  CHECK(failure(file("a") + std::string(100, 'x')).find("ends inside") != std::string::npos);
  CHECK(failure(std::string(512, 'x')).find("header checksum does not match") != std::string::npos);
  CHECK(failure(pax({{"path", "x"}}) + tar_end()).find("followed by the end") != std::string::npos);
  CHECK(failure(tar_entry({.name = ""}) + tar_end()).find("has no name") != std::string::npos);
  CHECK(failure(tar_entry({.name = "a", .type = 'Z'}) + tar_end()).find("unknown entry type") != std::string::npos);
  CHECK(failure(tar_entry({.name = "a", .size = "-0000000001"}) + tar_end()).find("bad size") != std::string::npos);
}

TEST_CASE("PAX records: a wrong length, a missing newline or key is an error") {
  for (const auto* text : {"5 a=b\n", "99 a=b\n", "x a=b\n", "6 a=b", "4 =\n", "6 ab c\n", "0 a=b\n", "12345678901 a=b\n"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_pax_records(text).has_value());
  }
  CHECK(parse_pax_records("6 a=b\n").value().at("a") == "b");
}

TEST_CASE("bounds: names, headers, xattrs and entries") {
  UnpackLimits limits;
  limits.max_header_bytes = 5000;
  CHECK(failure(pax({{"path", std::string(6000, 'x')}}) + file("f"), limits).find("the limit is 5000") != std::string::npos);
  limits.max_header_bytes = 1U << 20U;
  limits.max_path_bytes = 1000;
  CHECK(failure(pax({{"path", std::string(1001, 'x')}}) + file("f") + tar_end(), limits).find("more than 1000 bytes") != std::string::npos);
  limits.max_xattr_bytes = 100;
  CHECK(failure(pax({{"SCHILY.xattr.user.a", std::string(60, 'x')}, {"SCHILY.xattr.user.b", std::string(60, 'x')}}) + file("f"), limits)
            .find("extended attributes") != std::string::npos);
  // Many small headers before one entry count together, and so do their names.
  std::string row;
  for (int i = 0; i < 40; ++i) row += pax({{format_text("comment{}", i), std::string(400, 'x')}});
  UnpackLimits tight;
  tight.max_header_bytes = 5000;
  CHECK(failure(row + file("f") + tar_end(), tight).find("the limit is 5000") != std::string::npos);
  CHECK_OK(read(pax({{"comment", std::string(3000, 'x')}}) + file("f") + pax({{"comment", std::string(3000, 'x')}}) + file("g") + tar_end(), 512, tight));
  tight = {};
  tight.max_xattrs = 2;
  CHECK(failure(pax({{"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.user.b", "2"}, {"SCHILY.xattr.user.c", "3"}}) + file("f"), tight)
            .find("more than 2 extended attributes") != std::string::npos);
  limits.max_entries = 2;
  CHECK(read(file("a") + file("b") + file("c") + tar_end(), 512, limits).error().kind() == Kind::exhausted);
  CHECK(failure(tar_entry({.name = "x", .type = 'x', .size = "77777777777"})).find("extended header of") != std::string::npos);
}

TEST_CASE("what follows the end of the archive does not matter, and a missing end is accepted") {
  CHECK(read(file("a") + tar_end() + std::string(5000, 'x')).value().size() == 1);
  CHECK(read(file("a")).value().size() == 1);
  CHECK(read(file("a") + std::string(512, '\0')).value().size() == 1);
  CHECK(read("").value().empty());
}

TEST_CASE("damaged tars are read or refused, never more: bits flipped, blocks swapped, ends cut") {
  const auto good = directory("d") + pax({{"path", "d/long"}, {"SCHILY.xattr.user.a", "v"}, {"mtime", "1.5"}}) + file("f", std::string(700, 'x')) +
                    tar_entry({.name = "L", .type = 'L', .data = std::string(300, 'n')}) + hard_link("h", "f") + soft_link("s", "f") + tar_end();
  std::mt19937 random{7};  // NOLINT: the same cases in every run
  std::size_t refused = 0;
  for (int round = 0; round < 4000; ++round) {
    auto tar = good;
    for (std::size_t i = random() % 4; i <= 4; ++i) tar[random() % tar.size()] = static_cast<char>(random());
    // Most flips die at the checksum: half of the rounds repair it, so that the fields are looked at.
    if (round % 2 == 0)
      for (std::size_t at = 0; at + 512 <= tar.size(); at += 512) {
        const auto sum = octal(static_cast<std::uint64_t>(tar_checksum(std::string_view{tar}.substr(at, 512))), 6);
        if (good.substr(at + 257, 5) == "ustar") put(tar, at + 148, sum + std::string("\0 ", 2));
      }
    if (round % 5 == 0) tar.resize(random() % tar.size());
    if (!read(tar, 1 + random() % 1500).has_value()) ++refused;
  }
  CHECK(refused > 1000);
  CHECK(refused < 4000);
}

TEST_CASE("what our writer writes, our reader reads") {
  TarEntry entry{.name = "dir/" + std::string(200, 'n'), .type = TarType::file, .mode = 04755, .uid = 3000000, .gid = 5, .size = 3};
  entry.mtime = -2;
  entry.mtime_ns = 500'000'000;
  entry.xattrs = {{"security.capability", std::string("\1\0\0\2", 4)}, {"user.z", "1"}};
  std::string tar;
  TarWriter writer{[&](std::string_view bytes) {
    tar.append(bytes);
    return ok();
  }};
  REQUIRE_OK(writer.begin(entry));
  REQUIRE_OK(writer.data("abc"));
  REQUIRE_OK(writer.end());
  REQUIRE_OK(writer.begin({.name = "l", .type = TarType::symlink, .mode = 0777, .link = std::string(150, 't')}));
  REQUIRE_OK(writer.end());
  REQUIRE_OK(writer.begin({.name = "c", .type = TarType::char_device, .device_major = 4, .device_minor = 64}));
  REQUIRE_OK(writer.end());
  REQUIRE_OK(writer.finish());
  const auto entries = read(tar);
  REQUIRE_OK(entries);
  REQUIRE(entries.value().size() == 3);
  const auto& first = entries.value()[0].entry;
  CHECK(first.name == entry.name);
  CHECK(first.mode == 04755);
  CHECK(first.uid == 3000000);
  CHECK(first.mtime == -2);
  CHECK(first.mtime_ns == 500'000'000);
  CHECK(first.xattrs == entry.xattrs);
  CHECK(entries.value()[0].data == "abc");
  CHECK(entries.value()[1].entry.link == std::string(150, 't'));
  CHECK(entries.value()[2].entry.device_minor == 64);
}
