// Memory that does not go to the image directory: page servers and lazy pages.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "frozen.h"

namespace husk::test {
namespace {

// A port that nobody has at this moment.
int free_port() {
  const auto socket = UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

Child start_criu(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"criu"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto child = spawn({.path = "/usr/sbin/criu", .arguments = words});
  REQUIRE_OK(child);
  return std::move(child).value();
}

std::string pages_in(Bench& bench, const std::string& directory) { return bench.shell("ls " + directory + " | grep ^pages-").out; }

bool is_listening(int port) {
  const auto table = read_file("/proc/net/tcp");
  return table.has_value() && contains(table.value(), format_text(":{:04X} 00000000:0000 0A", port));
}

TEST_CASE("checkpoint --page-server: the memory is there and not in the image, and together they are restored") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto far = bench.path("far");
  REQUIRE_OK(make_directories(far));
  const int port = free_port();
  const auto address = format_text("127.0.0.1:{}", port);
  CHECK_REFUSED(counter.save({"--page-server", address}), "Can't connect to server");
  CHECK(bench.status(counter.id) == "running");
  auto server = start_criu({"page-server", "-D", far, "--address", "127.0.0.1", "--port", std::to_string(port)});
  REQUIRE(eventually([&] { return is_listening(port); }));
  REQUIRE_DONE(counter.save({"--page-server", address}));
  CHECK(server.wait_for(20'000).value().has_value());
  CHECK(pages_in(bench, counter.image).empty());
  CHECK(!pages_in(bench, far).empty());
  CHECK(bench.status(counter.id) == "stopped");
  REQUIRE(bench.shell("cp " + far + "/page* " + counter.image).status.code == 0);
  REQUIRE_DONE(counter.restore());
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
}

TEST_CASE("checkpoint --lazy-pages --status-fd, restore --lazy-pages: the memory comes over when it is used") {
  REQUIRE_CRIU();
  Bench bench;
  Subject subject{bench, {"memory", "16"}};
  REQUIRE(counts_beyond(bench, subject.id, 0));
  const int port = free_port();
  auto ready = sys::pipe2();
  REQUIRE_OK(ready);
  auto saving = bench.start({"checkpoint", "--lazy-pages", "--page-server", format_text("127.0.0.1:{}", port), "--status-fd", "5",
                             "--image-path", subject.image, subject.id},
                            {{.from = ready.value().write_end.get(), .target = 5}});
  ready.value().write_end.reset();
  std::array<char, 2> byte{'x', 'x'};
  const auto got = sys::read_some(ready.value().read_end.get(), byte);
  REQUIRE_OK(got);
  if (got.value() == 0) {
    const auto log = read_file(subject.image + "/dump.log");
    if (log.has_value() && contains(log.value(), "not supported")) HUSK_SKIP("the kernel does not serve lazy pages");
  }
  REQUIRE(got.value() == 1);
  CHECK(byte[0] == '\0');
  CHECK(is_listening(port));
  const auto left = parse_uint32(trim(bench.shell("cat " + subject.image + "/pages-*.img | wc -c").out));
  CHECK(left.value() < 16U << 20U);
  const auto daemon = start_criu({"lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", std::to_string(port), "-D", subject.image,
                                  "-W", subject.image});
  REQUIRE(eventually([&] { return path_exists(subject.image + "/lazy-pages.socket"); }));
  const auto second = bench.id("second");
  const auto other = bench.bundle({"/bin/subject", "memory", "16"}, with_tmp);  // the same with another cgroup
  auto restoring = bench.start({"restore", "-d", "--lazy-pages", "-b", other, "--image-path", subject.image, second}, {});
  const auto saved = saving.wait_for(20'000);
  REQUIRE_OK(saved);
  REQUIRE(saved.value().has_value());
  // CRIU 4.2.1 closes the pipes that it wants to serve from, as runc 1.3.6 finds too.
  if (saved.value()->code == 1 && contains(read_file(subject.image + "/dump.log").value(), "page-pipe: splice")) {
    CHECK(bench.status(subject.id) == "running");
    CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id)));
    HUSK_SKIP("this CRIU cannot serve lazy pages (page-pipe: splice fails in dump.log); the container ran on");
  }
  CHECK(saved.value()->code == 0);
  CHECK(restoring.wait().value().code == 0);
  REQUIRE_DONE(bench.husk({"exec", second, "/bin/touch", "/tmp/check"}));
  CHECK(counts_beyond(bench, second, count_in(bench, second) + 2));
  CHECK(bench.status(subject.id) == "stopped");
  CHECK(bench.status(second) == "running");
}

TEST_CASE("restore --lazy-pages: without criu lazy-pages nothing is left, and the error says what is missing") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto before = bench.world();
  CHECK_REFUSED(counter.restore({"--lazy-pages"}), "criu lazy-pages");
  CHECK_WORLD(bench, before);
  REQUIRE_DONE(counter.restore());
}

}  // namespace
}  // namespace husk::test
