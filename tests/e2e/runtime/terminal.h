// What the tests of terminals share.
#pragma once

#include "bench.h"

namespace husk::test {

// The master that comes to a console socket.
inline UniqueFd receive_terminal(const UniqueFd& listening) {
  const auto connection = sys::accept(listening.get());
  REQUIRE_OK(connection);
  auto message = sys::receive_message(connection.value().get(), 4096);
  REQUIRE_OK(message);
  REQUIRE(message.value().fds.size() == 1);
  return std::move(message.value().fds.front());
}

inline void with_terminal(oci::Spec& spec) {
  spec.process->terminal = true;
  spec.process->console_size = oci::ConsoleSize{.height = 33, .width = 111};
}

}  // namespace husk::test
