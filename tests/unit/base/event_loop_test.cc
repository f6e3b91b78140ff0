#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "harness/harness.h"

namespace husk {
namespace {

TEST_CASE("a rollback runs its steps backwards, unless it was committed") {
  std::string order;
  {
    Rollback undo;
    undo.on_failure([&] { order += "1"; });
    undo.on_failure([&] { order += "2"; });
  }
  CHECK(order == "21");
  {
    Rollback undo;
    undo.on_failure([&] { order += "3"; });
    undo.commit();
    undo.on_failure([&] { order += "4"; });
  }
  CHECK(order == "214");
}

TEST_CASE("a descriptor that is ready calls its handler, level-triggered") {
  auto loop = EventLoop::create();
  REQUIRE_OK(loop);
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  int calls = 0;
  REQUIRE_OK(loop.value().add(pipe.value().read_end.get(), EPOLLIN, [&](std::uint32_t events) {
    CHECK((events & EPOLLIN) != 0U);
    ++calls;
  }));
  REQUIRE_OK(loop.value().run_once(0));
  CHECK(calls == 0);
  REQUIRE_OK(sys::write_all(pipe.value().write_end.get(), "x"));
  REQUIRE_OK(loop.value().run_once(1000));
  REQUIRE_OK(loop.value().run_once(1000));
  CHECK(calls == 2);
}

TEST_CASE("a handler may remove itself and others of the same round") {
  auto loop = EventLoop::create();
  REQUIRE_OK(loop);
  auto first = sys::eventfd();
  auto second = sys::eventfd();
  REQUIRE_OK(first);
  REQUIRE_OK(second);
  std::vector<EventLoop::Token> tokens;
  int calls = 0;
  const auto handler = [&](std::uint32_t) {
    ++calls;
    for (const auto token : tokens) loop.value().remove(token);
  };
  for (const auto* fd : {&first.value(), &second.value()}) {
    REQUIRE_OK(sys::write_all(fd->get(), std::string_view{"\1\0\0\0\0\0\0\0", 8}));
    const auto token = loop.value().add(fd->get(), EPOLLIN, handler);
    REQUIRE_OK(token);
    tokens.push_back(token.value());
  }
  REQUIRE_OK(loop.value().run_once(1000));
  REQUIRE_OK(loop.value().run_once(0));
  CHECK(calls == 1);
}

TEST_CASE("a timer fires once and not before its time; a removed one never") {
  auto loop = EventLoop::create();
  REQUIRE_OK(loop);
  const auto begin = now_monotonic_ns();
  std::int64_t fired_at = 0;
  const auto removed = loop.value().add_timer(1'000'000, [] { FAIL("a removed timer fired"); });
  REQUIRE_OK(removed);
  loop.value().remove(removed.value());
  REQUIRE_OK(loop.value().add_timer(5'000'000, [&] {
    CHECK(fired_at == 0);
    fired_at = now_monotonic_ns();
    loop.value().stop();
  }));
  REQUIRE_OK(loop.value().run());
  CHECK(fired_at - begin >= 5'000'000);
}

TEST_CASE("events of interest can be changed; a watch on a bad descriptor is an error") {
  auto loop = EventLoop::create();
  REQUIRE_OK(loop);
  auto pair = sys::socketpair(SOCK_STREAM);
  REQUIRE_OK(pair);
  std::uint32_t seen = 0;
  const auto token = loop.value().add(pair.value().first.get(), EPOLLOUT, [&](std::uint32_t events) { seen = events; });
  REQUIRE_OK(token);
  REQUIRE_OK(loop.value().run_once(1000));
  CHECK((seen & EPOLLOUT) != 0U);
  seen = 0;
  REQUIRE_OK(loop.value().change(token.value(), EPOLLIN));
  REQUIRE_OK(loop.value().run_once(0));
  CHECK(seen == 0);
  CHECK_FALSE(loop.value().add(-1, EPOLLIN, [](std::uint32_t) {}).has_value());
}

}  // namespace
}  // namespace husk
