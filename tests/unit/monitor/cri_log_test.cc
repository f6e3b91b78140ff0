#include "monitor/cri_log.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <vector>

#include "base/clock.h"
#include "harness/harness.h"

namespace husk::monitor {
namespace {

using Lines = std::vector<std::string>;

// "F:content" or "P:content" of each line that the blocks make; "|" marks finish().
Lines split_blocks(const std::vector<std::string>& blocks, bool finish = true) {
  LineSplitter splitter;
  Lines lines;
  const auto emit = [&](std::string_view head, std::string_view tail, bool full) {
    lines.push_back(std::string{full ? "F:" : "P:"} + std::string{head} + std::string{tail});
  };
  for (const auto& block : blocks) splitter.feed(block, emit);
  if (finish) splitter.finish(emit);
  return lines;
}

std::string text(std::size_t length, char c = 'x') { return std::string(length, c); }

struct LogLine {
  std::int64_t time = 0;
  std::string stream, tag, content;
};

LogLine parse_line(std::string_view line) {
  const auto parts = split(line, ' ');
  REQUIRE(parts.size() >= 4);
  const auto time = parse_rfc3339(parts[0]);
  REQUIRE_OK(time);
  const auto prefix = parts[0].size() + parts[1].size() + parts[2].size() + 3;
  return {time.value(), std::string{parts[1]}, std::string{parts[2]}, std::string{line.substr(prefix)}};
}

}  // namespace

TEST_CASE("line splitter: lines, empty lines, several blocks") {
  CHECK(split_blocks({"a\nb\n"}) == Lines{"F:a", "F:b"});
  CHECK(split_blocks({"\n\n"}) == Lines{"F:", "F:"});
  CHECK(split_blocks({"a", "b", "c\nd", "\n"}) == Lines{"F:abc", "F:d"});
  CHECK(split_blocks({""}) == Lines{});
  CHECK(split_blocks({std::string{"a\0b\n", 4}}) == Lines{std::string{"F:a\0b", 5}});
}

TEST_CASE("line splitter: what a stream leaves unterminated is a P line, once") {
  CHECK(split_blocks({"a\nb"}) == Lines{"F:a", "P:b"});
  CHECK(split_blocks({"a\nb"}, false) == Lines{"F:a"});
  CHECK(split_blocks({"b\r"}) == Lines{"P:b\r"});
}

TEST_CASE("line splitter: a carriage return before the newline goes, any other stays") {
  CHECK(split_blocks({"a\r\nb\r\n"}) == Lines{"F:a", "F:b"});
  CHECK(split_blocks({"a\r", "\nb"}) == Lines{"F:a", "P:b"});
  CHECK(split_blocks({"a\rb\r\r\n"}) == Lines{"F:a\rb\r"});
  CHECK(split_blocks({"\r\n"}) == Lines{"F:"});
}

TEST_CASE("line splitter: 16 KiB is one line, one byte more is P and F") {
  CHECK(split_blocks({text(kMaxLogLine) + "\n"}) == Lines{"F:" + text(kMaxLogLine)});
  CHECK(split_blocks({text(kMaxLogLine), "\n"}) == Lines{"F:" + text(kMaxLogLine)});
  CHECK(split_blocks({text(kMaxLogLine) + "y\n"}) == Lines{"P:" + text(kMaxLogLine), "F:y"});
  CHECK(split_blocks({text(kMaxLogLine), "y", "\n"}) == Lines{"P:" + text(kMaxLogLine), "F:y"});
  CHECK(split_blocks({text(2 * kMaxLogLine)}) == Lines{"P:" + text(kMaxLogLine), "P:" + text(kMaxLogLine)});
}

TEST_CASE("line splitter: however the bytes are cut, the content is the same") {
  std::string input;
  for (std::size_t i = 0; i < 40; ++i) input += text(i * 1701 % 40000, static_cast<char>('a' + i % 26)) + "\n";
  const auto whole = split_blocks({input});
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, std::size_t{16384}, std::size_t{16385}}) {
    std::vector<std::string> blocks;
    for (std::size_t at = 0; at < input.size(); at += size) blocks.push_back(input.substr(at, size));
    CHECK(split_blocks(blocks) == whole);
  }
  for (const auto& line : whole) CHECK(line.size() <= kMaxLogLine + 2);
}

TEST_CASE("log file: lines are \"time stream tag content\", streams in order") {
  const test::TempDir dir;
  const auto path = dir / "web/0.log";
  const auto before = now_unix_ns();
  auto file = LogFile::open(path);
  REQUIRE_OK(file);
  CriLog log{std::move(file).value()};
  CHECK_OK(log.write(CriLog::Stream::out, "one\ntw"));
  CHECK_OK(log.write(CriLog::Stream::err, "bad thing\n"));
  CHECK_OK(log.write(CriLog::Stream::out, "o\nrest"));
  CHECK_OK(log.finish(CriLog::Stream::out));
  CHECK_OK(log.finish(CriLog::Stream::err));
  const auto content = read_file(path);
  REQUIRE_OK(content);
  const auto lines = split(content.value(), '\n');
  REQUIRE(lines.size() == 5);
  CHECK(lines[4].empty());
  const std::vector<std::array<std::string, 3>> expected{
      {"stdout", "F", "one"}, {"stderr", "F", "bad thing"}, {"stdout", "F", "two"}, {"stdout", "P", "rest"}};
  std::int64_t last = before;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto line = parse_line(lines[i]);
    CHECK(line.stream == expected[i][0]);
    CHECK(line.tag == expected[i][1]);
    CHECK(line.content == expected[i][2]);
    CHECK(line.time >= last);
    last = line.time;
  }
  const auto status = sys::fstatat(AT_FDCWD, path, 0);
  REQUIRE_OK(status);
  CHECK((status.value().st_mode & 07777U) == 0640U);
}

TEST_CASE("log file: reopen follows the name; when it fails the old file stays in use and none is made") {
  const test::TempDir dir;
  const auto path = dir / "0.log";
  auto file = LogFile::open(path);
  REQUIRE_OK(file);
  auto& log = file.value();
  CHECK_OK(log.append("1\n"));
  REQUIRE_OK(sys::renameat2(AT_FDCWD, path, AT_FDCWD, dir / "0.log.1"));
  CHECK_OK(log.append("2\n"));
  CHECK_OK(log.reopen());
  CHECK_OK(log.append("3\n"));
  CHECK(read_file(dir / "0.log.1").value() == "1\n2\n");
  CHECK(read_file(path).value() == "3\n");
  REQUIRE_OK(sys::renameat2(AT_FDCWD, path, AT_FDCWD, dir / "0.log.2"));
  REQUIRE_OK(sys::mkdirat(AT_FDCWD, path, 0755));
  CHECK(!log.reopen().has_value());
  CHECK_OK(log.append("4\n"));
  CHECK(read_file(dir / "0.log.2").value() == "3\n4\n");
}

TEST_CASE("log file: a FIFO, a symlink or a directory at the path is refused without hanging") {
  const test::TempDir dir;
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, dir / "fifo", 0600));
  REQUIRE_OK(sys::symlinkat("elsewhere", AT_FDCWD, dir / "link"));
  for (const auto* name : {"fifo", "link", "."}) {
    CHECK(!LogFile::open(dir / name).has_value());
  }
  CHECK(!path_exists(dir / "elsewhere"));
}

TEST_CASE("log file: an empty path drops everything and keeps nothing") {
  auto file = LogFile::open("");
  REQUIRE_OK(file);
  CriLog log{std::move(file).value()};
  CHECK_OK(log.write(CriLog::Stream::out, text(100000)));
  CHECK_OK(log.file().reopen());
  CHECK_OK(log.finish(CriLog::Stream::out));
}

TEST_CASE("log file: a full disk drops whole lines, is reported once, and leaves no half line") {
  if (!test::is_root()) HUSK_SKIP("mounting a small tmpfs needs root");
  const test::TempDir dir;
  REQUIRE_OK(sys::unshare(CLONE_NEWNS));
  REQUIRE_OK(sys::mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
  REQUIRE_OK(sys::mount("tmpfs", dir.path(), "tmpfs", 0, "size=64k"));
  auto file = LogFile::open(dir / "0.log");
  REQUIRE_OK(file);
  auto& log = file.value();
  const auto line = text(999) + "\n";
  int errors = 0;
  for (int i = 0; i < 100; ++i)
    if (!log.append(line).has_value()) ++errors;
  CHECK(errors == 1);
  CHECK(log.dropped_bytes() > 0);
  CHECK(log.dropped_bytes() % 1000 == 0);
  const auto content = read_file(dir / "0.log");
  REQUIRE_OK(content);
  CHECK(content.value().size() % 1000 == 0);
  CHECK(content.value().size() + log.dropped_bytes() == 100000);
  REQUIRE_OK(sys::ftruncate(sys::openat(AT_FDCWD, dir / "0.log", O_WRONLY).value().get(), 0));
  CHECK_OK(log.append(line));
  CHECK(read_file(dir / "0.log").value() == line);
  REQUIRE_OK(sys::umount2(dir.path(), MNT_DETACH));
}

}  // namespace husk::monitor
