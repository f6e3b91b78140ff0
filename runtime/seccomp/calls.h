// Names of system calls → numbers, on all architectures at once. The table is made from libseccomp when Husk is
// built (make_calls.cc): sorted, without a pointer that a start would have to relocate.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "seccomp/architectures.h"

namespace husk::runtime {

inline constexpr std::int16_t kNoCall = -1;

// One name: its number on each row of kArchitectures, counted from first_call.
struct Call {
  std::array<std::int16_t, kArchitectures.size()> numbers;
};
const Call* find_call(std::string_view name);  // nullptr: no architecture has it

// What socketcall(2) or ipc(2) do with this first argument. Source: linux/net.h, linux/ipc.h.
struct Multiplexed {
  bool socket = false;  // else ipc
  std::uint32_t number = 0;
};
std::optional<Multiplexed> find_multiplexed(std::string_view name);

std::string_view call_table_version();  // of the libseccomp that it was made from

// The generated table.
struct CallTable {
  const char* names;           // one behind the other
  const std::uint16_t* ends;   // of each name
  const Call* calls;
  std::size_t count;
  const char* version;
};
extern const CallTable kCallTable;

}  // namespace husk::runtime
