#include "cri/client/text/log_lines.h"
#include "cri/client/text/lookup.h"
#include "cri/client/text/table.h"
#include "cri/client/text/values.h"
#include "harness/harness.h"

namespace husk::pod {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::string out_of(LogReader& reader, std::string_view bytes, bool errors = false) {
  std::string text;
  for (const auto& piece : reader.feed(bytes))
    if (piece.is_error == errors) text += piece.text;
  return text;
}

}  // namespace

TEST_CASE("ports: HOST:CONTAINER, one port for both, address, protocol") {
  auto port = parse_port("8080:80");
  REQUIRE_OK(port);
  CHECK(port.value().host == 8080);
  CHECK(port.value().container == 80);
  CHECK(port.value().host_ip.empty());
  CHECK(parse_port("53:53/udp").value().protocol == PortProtocol::udp);
  CHECK(parse_port("1:2/sctp").value().protocol == PortProtocol::sctp);
  CHECK(parse_port("90").value().host == 90);
  CHECK(parse_port("127.0.0.1:8080:80").value().host_ip == "127.0.0.1");
  CHECK(parse_port("[::1]:8080:80/tcp").value().host_ip == "::1");
  for (const auto* bad : {"", ":", "80:", ":80", "0:80", "80:65536", "80:80/icmp", "a:80", "80:80:", "-1:80", "1:2:3:x"})
    CHECK_MESSAGE(!parse_port(bad).has_value(), bad);
}

TEST_CASE("volumes: absolute and relative sources, ro, mistakes") {
  CHECK(parse_volume("/a:/b", "/cwd").value().source == "/a");
  CHECK(parse_volume("a:/b:ro", "/cwd").value().source == "/cwd/a");
  CHECK(parse_volume("a:/b:ro", "/cwd").value().read_only);
  CHECK(!parse_volume("/a:/b:rw", "/cwd").value().read_only);
  for (const auto* bad : {"", "/a", "/a:b", ":/b", "/a:/b:rx", "/a:/b:ro:x"}) CHECK_MESSAGE(!parse_volume(bad, "/").has_value(), bad);
}

TEST_CASE("sizes, CPUs, seconds, pairs and users") {
  CHECK(parse_size("64m").value() == 64 << 20);
  CHECK(parse_size("1G").value() == 1 << 30);
  CHECK(parse_size("512").value() == 512);
  CHECK(parse_size("7b").value() == 7);
  for (const auto* bad : {"", "m", "-1m", "1.5g", "9999999999t", "1x"}) CHECK_MESSAGE(!parse_size(bad).has_value(), bad);
  CHECK(parse_cpus("0.5").value() == 50'000);
  CHECK(parse_cpus("2").value() == 200'000);
  for (const auto* bad : {"", "0", "-1", "x", "1x", "nan", "inf", "1e99"}) CHECK_MESSAGE(!parse_cpus(bad).has_value(), bad);
  CHECK(parse_seconds("30").value() == 30);
  CHECK(!parse_seconds("-1").has_value());
  CHECK(parse_pair("a=b=c").value().second == "b=c");
  CHECK(!parse_pair("=x").has_value());
  CHECK(!parse_pair("x").has_value());
  CHECK(parse_user("1000").value().uid == 1000);
  CHECK(parse_user("1000:50").value().gid == 50);
  CHECK(parse_user("www").value().name == "www");
  CHECK(parse_user("www").value().uid == -1);
  for (const auto* bad : {"", ":5", "1:", "1:grp"}) CHECK_MESSAGE(!parse_user(bad).has_value(), bad);
}

TEST_CASE("short image names") {
  CHECK(short_image_name("docker.io/library/nginx:1.25") == "nginx");
  CHECK(short_image_name("localhost:5000/a/My_App@sha256:00") == "my-app");
  CHECK(short_image_name("busybox") == "busybox");
  CHECK(short_image_name("") == "pod");
}

TEST_CASE("table: columns fit their cells, nothing trails, control characters do not pass") {
  CHECK(format_table({"A", "LONG"}, {{"xyz", "1"}, {"", "\x1b[2J"}}) == "A    LONG\nxyz  1\n-    ?[2J\n");
  CHECK(format_table({"A", "B"}, {{"\xc3\xa4\xc3\xb6", "1"}}) == "A   B\n\xc3\xa4\xc3\xb6  1\n");
  CHECK(format_table({"A"}, {}) == "A\n");
}

TEST_CASE("sizes and ages as people read them") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1536) == "1.50 KiB");
  CHECK(format_size(25 << 20) == "25.0 MiB");
  CHECK(format_age(0, 5) == "-");
  CHECK(format_age(kSecond, 31 * kSecond) == "30 s");
  CHECK(format_age(1, 600 * kSecond) == "9 min");
  CHECK(format_age(kSecond, 10 * 3600 * kSecond) == "9 h");
  CHECK(format_age(kSecond, 100 * 86400 * kSecond) == "99 days");
  CHECK(format_age(10 * kSecond, 1) == "0 s");  // a clock that was set back
  CHECK(format_cpu(1'250'000'000) == "1.25 s");
}

TEST_CASE("lookup: id, then name, then a unique beginning; the running one of several of a name") {
  const std::vector<Candidate> list{{"abc1", "web", false}, {"abc2", "web", true}, {"def3", "abc1", true}, {"ff", "dup", true}, {"f0", "dup", true}};
  CHECK(find_candidate(list, "abc1", "pod").value() == 0);
  CHECK(find_candidate(list, "web", "pod").value() == 1);
  CHECK(find_candidate(list, "de", "pod").value() == 2);
  CHECK(find_candidate(list, "abc", "pod").value() == 1);
  const auto ambiguous = find_candidate(list, "dup", "pod");
  REQUIRE(!ambiguous.has_value());
  CHECK(ambiguous.error().kind() == Kind::invalid);
  CHECK(ambiguous.error().to_string().find("ff, f0") != std::string::npos);
  CHECK(find_candidate(list, "zzz", "pod").error().kind() == Kind::not_found);
  CHECK(find_candidate(list, "", "pod").error().kind() == Kind::invalid);
}

TEST_CASE("log lines: the CRI format, damaged lines, further tags") {
  const auto line = parse_log_line("2026-11-21T09:30:00.1Z stderr P:x hello world");
  REQUIRE(line.has_value());
  CHECK(line->is_error);
  CHECK(line->partial);
  CHECK(line->content == "hello world");
  CHECK(parse_log_line("t stdout F ")->content.empty());
  CHECK(parse_log_line("t stdout F")->content.empty());
  for (const auto* bad : {"", "t", "t stdout", "t stdin F x", "t stdout X x", "hello there you all"})
    CHECK_MESSAGE(!parse_log_line(bad).has_value(), bad);
}

TEST_CASE("log reader: parts are joined, streams kept apart, bytes may be cut anywhere") {
  const std::string log = "t1 stdout P ab\nt2 stderr F err\nt3 stdout F cd\nt4 stdout F \nt5 stdout P end\n";
  LogReader whole{false};
  CHECK(out_of(whole, log) == "abcd\n\nend");
  LogReader errors{false};
  CHECK(out_of(errors, log, true) == "err\n");
  LogReader timed{true};
  CHECK(out_of(timed, log) == "t1 abcd\nt4 \nt5 end");
  LogReader bytewise{false};
  std::string text;
  for (const char c : log) text += out_of(bytewise, std::string_view{&c, 1});
  CHECK(text == "abcd\n\nend");
  LogReader damaged{false};
  CHECK(out_of(damaged, "garbage\nt stdout F x\n") == "garbage\nx\n");
}

TEST_CASE("log tail: whole lines count, parts belong to theirs") {
  const std::string log = "t stdout F 1\nt stdout P 2\nt stdout F 2\nt stdout F 3\nt stdout P 4\n";
  CHECK(log.substr(tail_offset(log, 1)) == "t stdout P 4\n");
  CHECK(log.substr(tail_offset(log, 2)) == "t stdout F 3\nt stdout P 4\n");
  CHECK(log.substr(tail_offset(log, 3)) == "t stdout P 2\nt stdout F 2\nt stdout F 3\nt stdout P 4\n");
  CHECK(tail_offset(log, 9) == 0);
  CHECK(tail_offset(log, 0) == log.size());
  CHECK(tail_offset("", 3) == 0);
  CHECK(tail_offset("t stdout F unfinished", 1) == 0);
}

}  // namespace husk::pod
