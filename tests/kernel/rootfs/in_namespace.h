// Runs a piece of a test in a child with its own mount namespace (and more, on request), so that no
// mount of a test reaches the machine. Failures come back as text through a pipe.
#pragma once

#include <functional>
#include <string>

#include "harness/harness.h"

namespace husk::test {

struct Sandbox {
  unsigned long more_namespaces = 0;  // CLONE_NEWUSER | CLONE_NEWPID …, beside CLONE_NEWNS
};
// "" when `body` returned success. A crash and a hang (20 s, then the child is killed) are failures.
std::string run_in_namespace(const std::function<Status()>& body, const Sandbox& sandbox = {});

// The text of a file, or "error: …": so that a body needs no TRY inside an expression.
std::string text_of(const std::string& path);
// The line of /proc/self/mountinfo of the topmost mount at `target`, or "".
std::string mount_line(const std::string& target);

}  // namespace husk::test

#define CHECK_IN_NAMESPACE(...)                                         \
  do {                                                                  \
    const auto failure_ = ::husk::test::run_in_namespace(__VA_ARGS__);  \
    CHECK_MESSAGE(failure_.empty(), failure_);                          \
  } while (false)
// Inside a body: returns from it with the place when the condition does not hold.
#define EXPECT(condition)                                                                              \
  do {                                                                                                 \
    if (!(condition))                                                                                  \
      return ::husk::Error{::husk::Kind::internal,                                                     \
                           ::husk::format_text("{}:{}: expected {}", __FILE__, __LINE__, #condition)}; \
  } while (false)
// The same for two texts, shown when they differ.
#define EXPECT_EQUAL(left, right)                                                                             \
  do {                                                                                                        \
    const std::string left_text_{left};                                                                       \
    const std::string right_text_{right};                                                                     \
    if (left_text_ != right_text_)                                                                            \
      return ::husk::Error{::husk::Kind::internal, ::husk::format_text("{}:{}: {} is {}, expected {}", __FILE__, \
                                                                       __LINE__, #left, left_text_, right_text_)}; \
  } while (false)
