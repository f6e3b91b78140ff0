#include "monitor/protocol.h"

#include "harness/harness.h"

namespace husk::monitor {
namespace {

Request full_request() {
  return Request{.number = 18446744073709551615U,
                 .op = Op::create,
                 .id = "web-1",
                 .bundle = "/run/b",
                 .log_path = "/var/log/pods/a b/0.log",
                 .terminal = true,
                 .stdin_open = true,
                 .stdin_once = true,
                 .attach_socket = "/run/x/attach",
                 .systemd_cgroup = true,
                 .oom_watch = false,
                 .signal = 9,
                 .timeout_ms = 30000,
                 .process = "{\"args\":[\"true\"]}",
                 .max_output = 1,
                 .force = true};
}

void check_invalid(const std::string& text, std::string_view part) {
  const auto result = decode_request(text);
  REQUIRE(!result.has_value());
  CHECK(result.error().kind() == Kind::invalid);
  CHECK_MESSAGE(result.error().to_string().find(part) != std::string::npos, result.error().to_string());
}

}  // namespace

TEST_CASE("protocol: every field of a request survives the way there") {
  const auto sent = full_request();
  const auto got = decode_request(encode(sent));
  REQUIRE_OK(got);
  const auto& request = got.value();
  CHECK(request.number == sent.number);
  CHECK(request.op == sent.op);
  CHECK(request.id == sent.id);
  CHECK(request.bundle == sent.bundle);
  CHECK(request.log_path == sent.log_path);
  CHECK(request.terminal);
  CHECK(request.stdin_open);
  CHECK(request.stdin_once);
  CHECK(request.attach_socket == sent.attach_socket);
  CHECK(request.systemd_cgroup);
  CHECK(!request.oom_watch);
  CHECK(request.signal == 9);
  CHECK(request.timeout_ms == 30000);
  CHECK(request.process == sent.process);
  CHECK(request.max_output == 1);
  CHECK(request.force);
}

TEST_CASE("protocol: absent members have the defaults of the struct") {
  const auto got = decode_request(R"({"op":"stop","number":7,"id":"a"})");
  REQUIRE_OK(got);
  CHECK(got.value().signal == 15);
  CHECK(got.value().timeout_ms == 0);
  CHECK(got.value().oom_watch);
  CHECK(got.value().max_output == 16U << 20U);
}

TEST_CASE("protocol: each operation has a name of its own") {
  for (int i = 0; i <= static_cast<int>(Op::shutdown); ++i) {
    Request request{.number = 1, .op = static_cast<Op>(i), .id = "a", .bundle = "/b", .process = "{}"};
    const auto got = decode_request(encode(request));
    REQUIRE_OK(got);
    CHECK(got.value().op == request.op);
  }
}

TEST_CASE("protocol: a bad request is one invalid error that names the place") {
  check_invalid("", "JSON");
  check_invalid("[]", "must be an object");
  check_invalid("{}", "\"op\"");
  check_invalid(R"({"op":"fly","number":1})", "unknown operation \"fly\"");
  check_invalid(R"({"op":"hello"})", "\"number\"");
  check_invalid(R"({"op":"hello","number":-1})", "/number");
  check_invalid(R"({"op":"hello","number":1,"number":2})", "duplicate key");
  check_invalid(R"({"op":"start","number":1})", "\"id\"");
  check_invalid(R"({"op":"start","number":1,"id":"../etc"})", "container id");
  check_invalid(R"({"op":"start","number":1,"id":"a\u0000b"})", "NUL");
  check_invalid(R"({"op":"create","number":1,"id":"a"})", "bundle");
  check_invalid(R"({"op":"create","number":1,"id":"a","bundle":"b"})", "absolute");
  check_invalid(R"({"op":"create","number":1,"id":"a","bundle":"/b","log_path":"x"})", "absolute");
  check_invalid(R"({"op":"create","number":1,"id":"a","bundle":"/b","terminal":"yes"})", "/terminal");
  check_invalid(R"({"op":"kill","number":1,"id":"a","signal":0})", "/signal");
  check_invalid(R"({"op":"kill","number":1,"id":"a","signal":65})", "/signal");
  check_invalid(R"({"op":"stop","number":1,"id":"a","timeout_ms":-5})", "/timeout_ms");
  check_invalid(R"({"op":"exec","number":1,"id":"a"})", "process");
  check_invalid(R"({"op":"exec","number":1,"id":"a","process":"{}","max_output":1.5})", "/max_output");
  check_invalid(std::string(kMaxMessage + 1, ' '), "larger");
  check_invalid(R"({"op":"hello","number":1,"x":)" + std::string(40, '[') + std::string(40, ']') + "}", "levels deep");
}

TEST_CASE("protocol: a reply with containers survives, exit record included") {
  Reply reply{.number = 3, .version = kProtocolVersion, .exit_code = 137};
  reply.containers.push_back({.id = "a",
                              .phase = ContainerPhase::exited,
                              .pid = 4711,
                              .created_at_ns = 1,
                              .started_at_ns = 2,
                              .log_path = "/l",
                              .cgroup_path = "/c",
                              .exit = ExitRecord{.id = "a",
                                                 .exit_code = 137,
                                                 .started_at_ns = 2,
                                                 .finished_at_ns = 1795000000123456789,
                                                 .oom_killed = true}});
  reply.containers.push_back({.id = "b", .phase = ContainerPhase::running});
  const auto got = decode_server_message(encode(reply));
  REQUIRE_OK(got);
  REQUIRE(got.value().reply.has_value());
  const auto& back = *got.value().reply;
  CHECK(back.number == 3);
  CHECK(back.ok);
  CHECK(back.version == 1);
  CHECK(back.exit_code == 137);
  REQUIRE(back.containers.size() == 2);
  CHECK(back.containers[0].phase == ContainerPhase::exited);
  CHECK(back.containers[0].cgroup_path == "/c");
  REQUIRE(back.containers[0].exit.has_value());
  CHECK(back.containers[0].exit->finished_at_ns == 1795000000123456789);
  CHECK(back.containers[0].exit->oom_killed);
  CHECK(back.containers[1].phase == ContainerPhase::running);
  CHECK(!back.containers[1].exit.has_value());
}

TEST_CASE("protocol: events and exit records survive; a packet with \"event\" is never a reply") {
  const Event event{.what = "exited", .exit = {.id = "x", .exit_code = 3, .finished_at_ns = 9}};
  const auto got = decode_server_message(encode(event));
  REQUIRE_OK(got);
  CHECK(!got.value().reply.has_value());
  REQUIRE(got.value().event.has_value());
  CHECK(got.value().event->what == "exited");
  CHECK(got.value().event->exit.exit_code == 3);
  const auto record = decode_exit_record(encode(event.exit));
  REQUIRE_OK(record);
  CHECK(record.value().id == "x");
  CHECK(!decode_exit_record(R"({"id":"x","exit_code":256})").has_value());
  CHECK(!decode_exit_record(R"({"id":"x"})").has_value());
  CHECK(!decode_exit_record("").has_value());
}

TEST_CASE("protocol: to_error gives the kind back; an unknown one is internal") {
  CHECK(to_error({.ok = false, .error = "late", .error_kind = "timed_out"}).kind() == Kind::timed_out);
  CHECK(to_error({.ok = false, .error = "late", .error_kind = "odd"}).kind() == Kind::internal);
  for (int i = 0; i <= static_cast<int>(Kind::internal); ++i) {
    const auto kind = static_cast<Kind>(i);
    CHECK(to_error({.error_kind = std::string{kind_name(kind)}}).kind() == kind);
  }
}

}  // namespace husk::monitor
