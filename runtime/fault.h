// Fault points: each numbered step of create can be made to fail, or the program to be killed there,
// so that tests prove the roll-back. Debug builds only: HUSK_FAIL_AT=<step>, HUSK_KILL_AT=<step>.
#pragma once

#include <string_view>

#include "base/result.h"

namespace husk::runtime {

#ifdef NDEBUG
inline void load_faults() {}
inline Status fault_point(std::string_view) { return ok(); }
#else
void load_faults();  // reads the environment once, before any clone
Status fault_point(std::string_view step);
#endif

}  // namespace husk::runtime
