// Faults of the runtime, of clients and of the disk, with the stand-in runtime.
#include <poll.h>

#include "bed.h"

namespace husk::monitor::test {

TEST_CASE("create: the runtime's own error text comes back, and nothing stays") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  const auto reply = client.call(bed.create_request("a", "true", "fail-create"));
  CHECK(!reply.ok);
  CHECK_MESSAGE(reply.error.find("create a: step: call: Reason") != std::string::npos, reply.error);
  CHECK(reply.error.find("not this one") == std::string::npos);
  CHECK(client.call({.op = Op::hello}).containers.empty());
  CHECK(!path_exists(bed.dir() + "/containers/a"));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, bed.path("bundle-a") + "/fail-create"));
  CHECK_REPLY(client.call(bed.create_request("a", "true")));
}

TEST_CASE("create: a runtime that is killed leaves its last words and no container") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  const auto reply = client.call(bed.create_request("a", "true", "die-create"));
  CHECK(!reply.ok);
  CHECK_MESSAGE(reply.error.find("last words") != std::string::npos, reply.error);
  CHECK(client.call({.op = Op::hello}).containers.empty());
}

TEST_CASE("create: warnings of the runtime do not enter the container's log") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  bed.run(client, bed.create_request("a", "echo hello", "warn-create"));
  client.wait_event("exited", "a");
  CHECK(bed.log_text("a") == "stdout F hello\n");
}

TEST_CASE("while a container is being created, other verbs answer at once that it is busy") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  const auto request = bed.create_request("a", "true", "hang-create");
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, request.bundle + "/go", 0600));
  const auto creating = client.send(request);
  for (const auto op : {Op::stop, Op::remove}) {
    const auto reply = client.call({.op = op, .id = "a"});
    CHECK(!reply.ok);
    CHECK(reply.error_kind == "busy");
  }
  CHECK(client.call({.op = Op::start, .id = "a"}).error_kind == "wrong_state");
  CHECK(!client.has_reply(creating, 50));
  const auto go = sys::openat(AT_FDCWD, request.bundle + "/go", O_WRONLY);
  REQUIRE_OK(go);
  REQUIRE_OK(sys::write_all(go.value().get(), "go\n"));
  CHECK_REPLY(client.wait_reply(creating));
}

TEST_CASE("start: a failure is answered and the container can be removed") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call(bed.create_request("a", "true", "fail-start")));
  const auto reply = client.call({.op = Op::start, .id = "a"});
  CHECK(!reply.ok);
  CHECK(reply.error.find("start a: no") != std::string::npos);
  CHECK_REPLY(client.call({.op = Op::remove, .id = "a"}));
  CHECK(client.call({.op = Op::hello}).containers.empty());
  CHECK(!path_exists(bed.dir() + "/containers/a"));
}

TEST_CASE("stop: when the runtime cannot kill, the monitor ends its child itself") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000", "fail-kill"));
  const auto reply = client.call({.op = Op::stop, .id = "a", .timeout_ms = 60'000});
  REQUIRE_REPLY(reply);
  CHECK(reply.containers.at(0).exit->exit_code == 137);
}

TEST_CASE("bad packets are answered, and the monitor lives on") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  const std::string huge(kMaxMessage + 10, 'x');
  for (const std::string& packet : {std::string{"{"}, std::string{"\0\xff", 2}, huge, std::string{R"({"op":"x","number":5})"}}) {
    REQUIRE_OK(sys::send_message(client.fd(), packet));
    const auto reply = client.wait_reply(0);
    CHECK(!reply.ok);
    CHECK(reply.error_kind == "invalid");
  }
  CHECK(client.call({.op = Op::status, .id = "nobody"}).error_kind == "not_found");
  CHECK_REPLY(client.call({.op = Op::remove, .id = "nobody"}));
  CHECK(client.call({.op = Op::hello}).version == kProtocolVersion);
}

TEST_CASE("a container id that is in use is refused") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call(bed.create_request("a", "sleep 100")));
  CHECK(client.call(bed.create_request("a", "sleep 100")).error_kind == "exists");
}

TEST_CASE("exec without two descriptors, or in a container that does not run, is refused") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call(bed.create_request("a", "sleep 100")));
  const Sink sink;
  const Request exec{.op = Op::exec, .id = "a", .process = bed.process("true")};
  CHECK(client.call(exec, {sink.fd(), sink.fd()}).error_kind == "wrong_state");
  CHECK_REPLY(client.call({.op = Op::start, .id = "a"}));
  CHECK(client.call(exec, {sink.fd()}).error_kind == "invalid");
  CHECK_REPLY(client.call(exec, {sink.fd(), sink.fd()}));
}

TEST_CASE("exec: a process that the runtime has reaped itself is answered with 255, not waited for") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 100", "lose-exec"));
  const Sink sink;
  const auto reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("true")}, {sink.fd(), sink.fd()});
  CHECK_REPLY(reply);
  CHECK(reply.exit_code == 255);
}

TEST_CASE("a client that never reads is dropped, and the others are served") {
  Bed bed{Runtime::fake};
  const auto deaf = bed.connect();
  auto client = bed.connect();
  CHECK_REPLY(client.call(bed.create_request("a", "sleep 100")));
  const auto request = encode(Request{.number = 1, .op = Op::hello});
  REQUIRE_OK(sys::set_nonblocking(deaf.fd(), true));
  bool dropped = false;
  for (int i = 0; i < 20'000 && !dropped; ++i) {
    const auto sent = sys::send_message(deaf.fd(), request);
    dropped = !sent.has_value() && sent.error().kind() == Kind::unavailable;
    if (!sent.has_value() && sent.error().kind() == Kind::busy) {  // the monitor is behind: let it read
      std::vector<sys::PollEntry> room{{.fd = deaf.fd(), .events = POLLOUT}};
      REQUIRE_OK(sys::poll(room, 5000));
    }
    if (i % 100 == 0) CHECK_REPLY(client.call({.op = Op::hello}));
  }
  CHECK(dropped);
  CHECK_REPLY(client.call({.op = Op::hello}));
}

TEST_CASE("the monitor goes on when its directory vanishes") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  bed.run(client, bed.create_request("a", "read line; exit 7"));
  REQUIRE_OK(remove_tree(AT_FDCWD, bed.dir()));
  const auto stopped = client.call({.op = Op::stop, .id = "a"});
  REQUIRE_REPLY(stopped);
  CHECK(client.wait_event("exited", "a").exit.exit_code == stopped.containers.at(0).exit->exit_code);
  CHECK_REPLY(client.call({.op = Op::remove, .id = "a"}));
  CHECK_REPLY(client.call({.op = Op::shutdown}));
}

TEST_CASE("two monitors never share a directory; a dead one's socket is replaced") {
  Bed bed{Runtime::fake};
  const auto second = [&] {
    return run({.path = husk::test::program("husk-monitor"),
                .arguments = {"husk-monitor", "--pod-id", "p", "--dir", bed.dir(), "--husk", "/bin/true", "--runtime-root", "/tmp"}},
               kPatience_ms);
  };
  const auto refused = second();
  REQUIRE_OK(refused);
  CHECK(refused.value().status.code == 1);
  CHECK_MESSAGE(refused.value().err.find("another monitor owns") != std::string::npos, refused.value().err);
  CHECK_REPLY(bed.connect().call({.op = Op::hello}));
}

TEST_CASE("shutdown is refused while a container runs, and forced ends it") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  CHECK(client.call({.op = Op::shutdown}).error_kind == "wrong_state");
  CHECK_REPLY(client.call({.op = Op::shutdown, .force = true}));
  const auto ended = bed.monitor().wait_for(kPatience_ms);
  REQUIRE_OK(ended);
  REQUIRE(ended.value().has_value());
  CHECK(ended.value()->code == 0);
  CHECK(bed.exit_record("a").exit_code == 137);
  CHECK(!path_exists(bed.dir() + "/monitor.sock"));
  CHECK(!path_exists(bed.dir() + "/monitor.pid"));
}

TEST_CASE("SIGTERM: the monitor leaves after its last container") {
  Bed bed{Runtime::fake};
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  REQUIRE_OK(bed.monitor().signal(SIGTERM));
  CHECK_REPLY(client.call({.op = Op::hello}));
  CHECK_REPLY(client.call({.op = Op::stop, .id = "a"}));
  const auto ended = bed.monitor().wait_for(kPatience_ms);
  REQUIRE_OK(ended);
  CHECK(ended.value().has_value());
}

TEST_CASE("arguments: a missing or unknown one is named, with a hint") {
  const auto monitor = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "husk-monitor");
    auto output = run({.path = husk::test::program("husk-monitor"), .arguments = arguments}, kPatience_ms);
    REQUIRE_OK(output);
    return output.value();
  };
  CHECK(monitor({}).err.find("--pod-id is missing") != std::string::npos);
  CHECK(monitor({"--bad"}).err.find("unknown argument \"--bad\"") != std::string::npos);
  CHECK(monitor({"--dir"}).err.find("requires an argument") != std::string::npos);
  CHECK(monitor({"--pod-id=../x", "--dir=/x", "--husk=/h", "--runtime-root=/r"}).status.code == 1);
  CHECK(monitor({"--help"}).out.find("usage: husk-monitor") != std::string::npos);
  CHECK(monitor({"--version"}).out.find("husk-monitor ") == 0);
}

}  // namespace husk::monitor::test
