// Tells a husk that was started from a detached clone of its file (runtime/self_protect.h) what the file's path is.
#pragma once

namespace husk {

inline constexpr char kProgramVariable[] = "HUSK_PROGRAM";

}  // namespace husk
