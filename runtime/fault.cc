#include "fault.h"

#ifndef NDEBUG

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/format.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

struct Faults {
  std::string fail_at;
  std::string kill_at;
};
Faults& faults() {
  static Faults instance;
  return instance;
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

void load_faults() {
  faults() = {.fail_at = from_environment("HUSK_FAIL_AT"), .kill_at = from_environment("HUSK_KILL_AT")};
}

Status fault_point(std::string_view step) {
  if (step == faults().kill_at) {
    (void)::kill(::getpid(), SIGKILL);
    ::_exit(128 + SIGKILL);  // the first process of a pid namespace, which ignores its own SIGKILL
  }
  if (step == faults().fail_at) return Error{Kind::internal, format_text("made to fail at {}", quote(step))};
  return ok();
}

}  // namespace husk::runtime

#endif
