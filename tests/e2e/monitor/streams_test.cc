// Output, logs, stdin, attach, exec and exits with real processes under the stand-in runtime: what
// the monitor does with streams does not depend on isolation. real_test.cc repeats the main ones
// with husk.
#include <sys/resource.h>

#include "bed.h"

namespace husk::monitor::test {
namespace {

// One attacher, as huskd is.
class Attacher {
 public:
  explicit Attacher(const std::string& path) {
    auto fd = sys::connect_unix(path, SOCK_SEQPACKET);
    REQUIRE_OK(fd);
    fd_ = std::move(fd).value();
  }
  void write(std::string_view data) const { REQUIRE_OK(sys::send_message(fd_.get(), std::string{kStdin} + std::string{data})); }
  void end_of_input() const { write(""); }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }
  // Reads until kExit or the end of the connection; true when kExit came.
  bool read_to_exit() {
    for (;;) {
      if (!read_packet()) return false;
      if (exit_code >= 0) return true;
    }
  }
  void read_until(std::string_view wanted) {
    while (out.find(wanted) == std::string::npos) REQUIRE(read_packet());
  }
  std::string out, err;
  int exit_code = -1;

 private:
  bool read_packet() {
    std::vector<sys::PollEntry> entries{{.fd = fd_.get(), .events = 1}};
    REQUIRE(sys::poll(entries, kPatience_ms).value() == 1);
    const auto got = sys::receive_message(fd_.get(), 1U << 17U);
    if (!got.has_value() || got.value().end_of_file) return false;
    const auto& data = got.value().data;
    if (data[0] == kStdout) out += data.substr(1);
    if (data[0] == kStderr) err += data.substr(1);
    if (data[0] == kExit) {
      REQUIRE(data.size() == 5);
      exit_code = static_cast<unsigned char>(data[1]);
    }
    return true;
  }
  UniqueFd fd_;
};

// The monitor writes the log while it answers us: no sleep is needed between two looks.
void wait_for_log(const Bed& bed, Client& client, const std::string& id, const std::string& wanted) {
  const auto deadline = now_monotonic_ns() + std::int64_t{kPatience_ms} * 1'000'000;
  while (bed.log_text(id) != wanted && now_monotonic_ns() < deadline) CHECK_REPLY(client.call({.op = Op::hello}));
  CHECK(bed.log_text(id) == wanted);
}

void subscribe(Client& client) { CHECK_REPLY(client.call({.op = Op::subscribe})); }

}  // namespace

TEST_CASE("life: create, start, exit; record, event, info and log agree") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  const auto before = now_unix_ns();
  const auto created = client.call(bed.create_request("a", "echo out; echo err >&2; exit 7"));
  REQUIRE_REPLY(created);
  CHECK(created.containers.at(0).phase == ContainerPhase::created);
  CHECK(created.containers.at(0).pid > 0);
  const auto started = client.call({.op = Op::start, .id = "a"});
  REQUIRE_REPLY(started);
  const auto event = client.wait_event("exited", "a");
  CHECK(event.exit.exit_code == 7);
  CHECK(event.exit.started_at_ns >= before);
  CHECK(event.exit.finished_at_ns >= event.exit.started_at_ns);
  CHECK(!event.exit.oom_killed);
  const auto record = bed.exit_record("a");
  CHECK(record.exit_code == 7);
  CHECK(record.finished_at_ns == event.exit.finished_at_ns);
  const auto info = client.call({.op = Op::status, .id = "a"}).containers.at(0);
  CHECK(info.phase == ContainerPhase::exited);
  CHECK(info.pid == 0);
  REQUIRE(info.exit.has_value());
  CHECK(info.exit->exit_code == 7);
  const auto log = bed.log_text("a");
  CHECK(log.find("stdout F out\n") != std::string::npos);
  CHECK(log.find("stderr F err\n") != std::string::npos);
  CHECK_REPLY(client.call({.op = Op::remove, .id = "a"}));
  CHECK(!path_exists(bed.dir() + "/containers/a"));
}

TEST_CASE("life: a container that ends at once still answers start before its event") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  for (int i = 0; i < 20; ++i) {
    const auto id = format_text("c{}", i);
    bed.run(client, bed.create_request(id, "exit 3"));
    CHECK(client.wait_event("exited", id).exit.exit_code == 3);
    CHECK(client.call({.op = Op::status, .id = id}).containers.at(0).exit->started_at_ns > 0);
  }
}

TEST_CASE("exit code: 128 + signal") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  bed.run(client, bed.create_request("a", "kill -USR1 $$"));
  CHECK(client.wait_event("exited", "a").exit.exit_code == 128 + SIGUSR1);
  bed.run(client, bed.create_request("b", "sleep 1000"));
  CHECK_REPLY(client.call({.op = Op::kill, .id = "b", .signal = SIGTERM}));
  CHECK(client.wait_event("exited", "b").exit.exit_code == 128 + SIGTERM);
  CHECK(client.call({.op = Op::kill, .id = "b"}).error_kind == "wrong_state");
}

TEST_CASE("log: 100 MB pass in bounded memory and no line is lost or torn") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  bed.run(client, bed.create_request("a", "yes 'a line of exactly fifty bytes, the newline in it ' | head -c 100000000"));
  client.wait_event("exited", "a");
  const auto content = read_file(bed.log_path("a"), 400U << 20U);
  REQUIRE_OK(content);
  std::size_t lines = 0;
  std::size_t bytes = 0;
  bool whole = true;
  for (std::size_t at = 0; at < content.value().size();) {
    const auto end = content.value().find('\n', at);
    const auto line = std::string_view{content.value()}.substr(at, end - at);
    const auto tag = line.find(" stdout ");
    whole = whole && tag == 30 && line.substr(38, 2) != "  ";
    if (tag == 30) bytes += line.size() - 40 + (line[38] == 'F' ? 1 : 0);
    ++lines;
    at = end + 1;
  }
  CHECK(whole);
  CHECK(bytes == 100'000'000);
  CHECK(lines >= 100'000'000 / 51);
  CHECK(rss_kib(bed.monitor().pid(), "VmHWM:") < 12'000 + kSanitizerKib);
}

TEST_CASE("log: long lines are cut at 16 KiB, the rest of a stream is P") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  bed.run(client, bed.create_request("a", "head -c 40000 /dev/zero | tr '\\0' x; echo; printf end"));
  client.wait_event("exited", "a");
  const std::string x(16384, 'x');
  CHECK(bed.log_text("a") == "stdout P " + x + "\nstdout P " + x + "\nstdout F " + std::string(40000 - 2 * x.size(), 'x') + "\nstdout P end\n");
}

TEST_CASE("log: reopening while the container writes loses and doubles nothing") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  bed.run(client, bed.create_request("a", "seq 1 300000"));
  std::vector<std::string> files;
  for (int i = 0; i < 20; ++i) {
    files.push_back(bed.log_path("a") + format_text(".{}", i));
    REQUIRE_OK(sys::renameat2(AT_FDCWD, bed.log_path("a"), AT_FDCWD, files.back()));
    CHECK_REPLY(client.call({.op = Op::reopen_log, .id = "a"}));
    CHECK(path_exists(bed.log_path("a")));
  }
  client.wait_event("exited", "a");
  files.push_back(bed.log_path("a"));
  std::uint64_t expected = 1;
  bool right = true;
  for (const auto& file : files)
    for (const auto content = read_file(file); const auto line : split(content.value(), '\n')) {
      if (line.empty()) continue;
      right = right && line.substr(line.rfind(' ') + 1) == format_text("{}", expected);
      ++expected;
    }
  CHECK(right);
  CHECK(expected == 300'001);
}

TEST_CASE("log: an empty path drains the output") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  auto create = bed.create_request("a", "head -c 10000000 /dev/zero; exit 5");
  create.log_path.clear();
  bed.run(client, create);
  CHECK(client.wait_event("exited", "a").exit.exit_code == 5);
  CHECK(!path_exists(bed.log_path("a")));
}

TEST_CASE("a child that keeps the pipe does not hold the exit back, and its later output is logged") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  // The stand-in's kill --all reaches the session only: the child has left it.
  bed.run(client, bed.create_request("a", format_text("mkfifo {0}; setsid sh -c 'read x <{0}; echo later' & echo now", bed.path("fifo"))));
  client.wait_event("exited", "a");
  CHECK(bed.log_text("a") == "stdout F now\n");
  const auto ticks = cpu_ticks(bed.monitor().pid());
  const auto fifo = sys::openat(AT_FDCWD, bed.path("fifo"), O_WRONLY);
  REQUIRE_OK(fifo);
  REQUIRE_OK(sys::write_all(fifo.value().get(), "go\n"));
  wait_for_log(bed, client, "a", "stdout F now\nstdout F later\n");
  CHECK(cpu_ticks(bed.monitor().pid()) - ticks < 100);
}

TEST_CASE("stop: the grace period, then SIGKILL") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("soft", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done"));
  wait_for_log(bed, client, "soft", "stdout F ready\n");
  auto reply = client.call({.op = Op::stop, .id = "soft", .timeout_ms = 10'000});
  REQUIRE_REPLY(reply);
  CHECK(reply.containers.at(0).exit->exit_code == 0);
  bed.run(client, bed.create_request("hard", "trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  wait_for_log(bed, client, "hard", "stdout F ready\n");
  const auto begin = now_monotonic_ns();
  reply = client.call({.op = Op::stop, .id = "hard", .timeout_ms = 300});
  REQUIRE_REPLY(reply);
  CHECK(reply.containers.at(0).exit->exit_code == 137);
  CHECK(now_monotonic_ns() - begin >= 300'000'000);
  CHECK_REPLY(client.call({.op = Op::stop, .id = "hard"}));  // stopped already: success
}

TEST_CASE("stop: a second one with a shorter time-out shortens the wait; both are answered") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  wait_for_log(bed, client, "a", "stdout F ready\n");
  const auto first = client.send({.op = Op::stop, .id = "a", .timeout_ms = 3'600'000});
  const auto longer = client.send({.op = Op::stop, .id = "a", .timeout_ms = 7'200'000});
  CHECK(!client.has_reply(first, 100));
  const auto begin = now_monotonic_ns();
  CHECK_REPLY(client.call({.op = Op::stop, .id = "a", .timeout_ms = 100}));
  CHECK(now_monotonic_ns() - begin < 5'000'000'000);
  CHECK_REPLY(client.wait_reply(first));
  CHECK_REPLY(client.wait_reply(longer));
}

TEST_CASE("stop: a container that was never started ends at once") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call(bed.create_request("a", "true")));
  const auto reply = client.call({.op = Op::stop, .id = "a", .timeout_ms = 3'600'000});
  REQUIRE_REPLY(reply);
  CHECK(reply.containers.at(0).exit->exit_code == 137);
  CHECK(reply.containers.at(0).exit->started_at_ns == 0);
}

TEST_CASE("a client that is killed ends nothing; the next one is told everything") {
  Bed bed{Runtime::fake};
  auto first = bed.connect();
  subscribe(first);
  bed.run(first, bed.create_request("a", "sleep 1000"));
  bed.run(first, bed.create_request("b", "read x; exit 4"));
  (void)first.send({.op = Op::stop, .id = "b", .timeout_ms = 3'600'000});
  first.close();
  auto second = bed.connect();
  subscribe(second);
  const auto hello = second.call({.op = Op::hello});
  REQUIRE(hello.containers.size() == 2);
  CHECK(hello.containers[0].phase == ContainerPhase::running);
  CHECK(hello.containers[0].log_path == bed.log_path("a"));
  CHECK_REPLY(second.call({.op = Op::stop, .id = "a"}));
  CHECK(second.wait_event("exited", "a").exit.exit_code == 137);
  CHECK(bed.exit_record("a").exit_code == 137);
}

TEST_CASE("exec: output and exit code; a missing reader of stdout is no harm") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const Sink out;
  const Sink err;
  const auto reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("echo o; echo e >&2; exit 9")}, {out.fd(), err.fd()});
  REQUIRE_REPLY(reply);
  CHECK(reply.exit_code == 9);
  CHECK(out.text() == "o\n");
  CHECK(err.text() == "e\n");
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  const auto number = client.send({.op = Op::exec, .id = "a", .process = bed.process("seq 1 100000")}, {pipe.value().write_end.get(), err.fd()});
  pipe.value().write_end.reset();
  pipe.value().read_end.reset();
  CHECK(client.wait_reply(number).exit_code == 0);
  CHECK(bed.monitor().wait_for(0).value() == std::nullopt);
}

TEST_CASE("exec: a slow reader of a pipe gets every byte") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  const Sink err;
  const auto number = client.send({.op = Op::exec, .id = "a", .process = bed.process("head -c 3000000 /dev/zero")}, {pipe.value().write_end.get(), err.fd()});
  pipe.value().write_end.reset();
  CHECK(!client.has_reply(number, 100));
  const auto content = read_all(pipe.value().read_end.get());
  REQUIRE_OK(content);
  CHECK(content.value().size() == 3'000'000);
  CHECK(client.wait_reply(number).exit_code == 0);
}

TEST_CASE("exec: output beyond the limit is drained (CVE-2022-1708)") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const Sink out;
  const Sink err;
  const auto reply = client.call(
      {.op = Op::exec, .id = "a", .process = bed.process("head -c 50000000 /dev/zero; echo x >&2"), .max_output = 100'000}, {out.fd(), err.fd()});
  CHECK_REPLY(reply);
  CHECK(out.text().size() == 100'000);
  CHECK(err.text() == "x\n");
}

TEST_CASE("exec: a time-out kills the exec's processes and only those") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  const int init = bed.run(client, bed.create_request("a", "sleep 1000"));
  const Sink out;
  const Sink err;
  const auto begin = now_monotonic_ns();
  const auto reply = client.call({.op = Op::exec,
                                  .id = "a",
                                  .timeout_ms = 300,
                                  .process = bed.process("echo $$; sleep 500 & echo $!; setsid sleep 501 & echo $!; wait")},
                                 {out.fd(), err.fd()});
  CHECK(reply.error_kind == "timed_out");
  CHECK(now_monotonic_ns() - begin < 5'000'000'000);
  int found = 0;
  const auto text = out.text();
  for (const auto line : split(text, '\n')) {
    if (line.empty()) continue;
    ++found;
    const auto is_over = [&] {  // gone, or a zombie being reaped; SIGKILL takes effect a moment after it is sent
      const auto stat = read_file(format_text("/proc/{}/stat", line));
      return !stat.has_value() || stat.value().find(") Z") != std::string::npos;
    };
    CHECK(husk::test::eventually(is_over));
  }
  CHECK(found == 3);
  CHECK(sys::kill(init, 0).has_value());
  CHECK(client.call({.op = Op::exec, .id = "a", .process = bed.process("exit 1")}, {out.fd(), err.fd()}).exit_code == 1);
}

TEST_CASE("exec: a child left in the background does not hold the answer back") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const Sink out;
  const Sink err;
  const auto reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("sleep 3 & echo done")}, {out.fd(), err.fd()});
  CHECK_REPLY(reply);
  CHECK(out.text() == "done\n");
}

TEST_CASE("exec: many at once, each with its own output and code") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const auto fds = open_fds(bed.monitor().pid());
  std::vector<std::uint64_t> numbers;
  std::deque<Sink> sinks;
  const Sink err;
  for (int i = 0; i < 30; ++i) {
    sinks.emplace_back();
    numbers.push_back(client.send({.op = Op::exec, .id = "a", .process = bed.process(format_text("echo {0}; exit {0}", i))}, {sinks.back().fd(), err.fd()}));
  }
  for (int i = 0; i < 30; ++i) {
    CHECK(client.wait_reply(numbers[static_cast<std::size_t>(i)]).exit_code == i);
    CHECK(sinks[static_cast<std::size_t>(i)].text() == format_text("{}\n", i));
  }
  CHECK(open_fds(bed.monitor().pid()) <= fds);  // before: perhaps a descriptor of the start, not closed yet
}

TEST_CASE("attach: several see the output; stdin reaches the container; kExit is last") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  auto create = bed.create_request("a", "while read x; do [ \"$x\" = end ] && exit 6; echo \"got $x\"; done");
  create.stdin_open = true;
  create.attach_socket = bed.path("attach");
  bed.run(client, create);
  Attacher one{create.attach_socket};
  Attacher two{create.attach_socket};
  one.write("hello\n");
  one.read_until("got hello\n");
  two.read_until("got hello\n");
  one.close();
  two.end_of_input();  // without stdin_once it means nothing to the container
  two.write("again\n");
  two.read_until("got again\n");
  two.write("end\n");
  CHECK(two.read_to_exit());
  CHECK(two.exit_code == 6);
  CHECK(!path_exists(create.attach_socket));
}

TEST_CASE("attach: with stdin_once the first one that leaves ends the input") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  for (const bool by_packet : {true, false}) {
    const std::string id = by_packet ? "p" : "c";
    auto create = bed.create_request(id, "cat; echo over");
    create.stdin_open = true;
    create.stdin_once = true;
    create.attach_socket = bed.path("attach-" + id);
    bed.run(client, create);
    Attacher attacher{create.attach_socket};
    const std::string data(300'000, 'd');
    for (std::size_t at = 0; at < data.size(); at += 50'000) attacher.write(data.substr(at, 50'000) + "\n");
    if (by_packet) {
      attacher.end_of_input();
      CHECK(attacher.read_to_exit());
      CHECK(attacher.out.size() == data.size() + 6 + 5);
    } else {
      attacher.close();
    }
    CHECK(client.wait_event("exited", id).exit.exit_code == 0);
    CHECK(bed.log_text(id).find("stdout F over\n") != std::string::npos);
  }
}

TEST_CASE("attach: a reader that stops is dropped in the end, and the container runs on") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  auto create = bed.create_request("a", "read x; seq 1 1000000");
  create.stdin_open = true;
  create.attach_socket = bed.path("attach");
  bed.run(client, create);
  Attacher stuck{create.attach_socket};
  Attacher good{create.attach_socket};
  good.write("go\n");
  const auto ticks = cpu_ticks(bed.monitor().pid());
  CHECK(good.read_to_exit());
  CHECK(good.out.size() == 6'888'896);
  CHECK(cpu_ticks(bed.monitor().pid()) - ticks < 400);  // it waited about ten seconds without spinning
}

TEST_CASE("attach: stdin that the container does not read waits without spinning") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  auto create = bed.create_request("a", "sleep 1000");
  create.stdin_open = true;
  create.stdin_once = true;
  create.attach_socket = bed.path("attach");
  bed.run(client, create);
  Attacher attacher{create.attach_socket};
  REQUIRE_OK(sys::set_nonblocking(attacher.fd(), true));
  const std::string packet = std::string{kStdin} + std::string(30'000, 'x');
  int sent = 0;
  while (sent < 100 && sys::send_message(attacher.fd(), packet).has_value()) ++sent;
  CHECK(sent >= 2);
  CHECK_REPLY(client.call({.op = Op::hello}));
  attacher.close();
  const auto ticks = cpu_ticks(bed.monitor().pid());
  CHECK(!client.has_reply(client.send({.op = Op::stop, .id = "a", .signal = SIGUSR2, .timeout_ms = 700}) + 1, 300));
  CHECK(cpu_ticks(bed.monitor().pid()) - ticks < 10);
}

TEST_CASE("attach: bad packets end that attacher only") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  auto create = bed.create_request("a", "sleep 1000");
  create.attach_socket = bed.path("attach");
  bed.run(client, create);
  for (const std::string& packet : {std::string{"\x09"}, std::string{"\x04\x01"}, std::string{kStdout}}) {
    Attacher attacher{create.attach_socket};
    REQUIRE_OK(sys::send_message(attacher.fd(), packet));
    CHECK(!attacher.read_to_exit());
  }
  CHECK_REPLY(client.call({.op = Op::status, .id = "a"}));
}

TEST_CASE("nothing leaks: descriptors and memory after a hundred containers are those of before") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  subscribe(client);
  const auto round = [&](int i) {
    auto create = bed.create_request(format_text("c{}", i), "echo hello");
    create.stdin_open = i % 2 == 0;
    create.attach_socket = bed.path("attach");
    bed.run(client, create);
    client.wait_event("exited", create.id);
    CHECK_REPLY(client.call({.op = Op::remove, .id = create.id}));
  };
  for (int i = 0; i < 5; ++i) round(i);
  CHECK_REPLY(client.call({.op = Op::hello}));
  const auto fds = open_fds(bed.monitor().pid());
  const auto rss = rss_kib(bed.monitor().pid());
  for (int i = 5; i < 105; ++i) round(i);
  CHECK_REPLY(client.call({.op = Op::hello}));  // one thread: what the last answer left to do is done
  CHECK(open_fds(bed.monitor().pid()) <= fds);  // before: perhaps a descriptor of the start, not closed yet
  CHECK(rss_kib(bed.monitor().pid()) <= rss + 300 + kSanitizerKib);
  CHECK(sys::list_dir(sys::openat(AT_FDCWD, bed.dir() + "/containers", O_RDONLY).value().get()).value().empty());
}

TEST_CASE("an idle monitor with a running container costs no CPU and little memory") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const auto ticks = cpu_ticks(bed.monitor().pid());
  CHECK(!client.has_reply(999, 1000));
  CHECK(cpu_ticks(bed.monitor().pid()) - ticks <= 1);
  CHECK(rss_kib(bed.monitor().pid()) < 3000 + kSanitizerKib);
  CHECK(open_fds(bed.monitor().pid()) <= 16);
  MESSAGE("RSS of the monitor: " << rss_kib(bed.monitor().pid()) << " KiB, descriptors: " << open_fds(bed.monitor().pid()));
}

}  // namespace husk::monitor::test
