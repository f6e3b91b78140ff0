// Private to sys*.cc: turns a failed call into an Error. errno is read here, first thing.
#pragma once

#include <cerrno>
#include <string>

#include "base/error.h"
#include "base/format.h"
#include "base/sys.h"

namespace husk::sys {

constexpr bool failed(long result) { return result < 0; }

// `describe` is called after errno is saved, so that formatting cannot change it.
template <class Describe>
Error call_error(Describe&& describe) {
  const int err = errno;
  return Error{kind_of_errno(err), describe(), err};
}

template <class Describe>
Status status_of(long result, Describe&& describe) {
  if (failed(result)) return call_error(std::forward<Describe>(describe));
  return ok();
}

template <class Describe>
Result<UniqueFd> fd_of(long result, Describe&& describe) {
  if (failed(result)) return call_error(std::forward<Describe>(describe));
  return UniqueFd{static_cast<int>(result)};
}

// Repeats a call that a signal interrupted.
template <class Call>
auto retry_eintr(Call&& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace husk::sys
