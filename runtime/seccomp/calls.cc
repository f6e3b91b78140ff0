#include "seccomp/calls.h"

#include <algorithm>

namespace husk::runtime {
namespace {

struct Row {
  std::string_view name;
  Multiplexed call;
};

constexpr std::array kMultiplexed{
    Row{"accept", {true, 5}},       Row{"accept4", {true, 18}},     Row{"bind", {true, 2}},
    Row{"connect", {true, 3}},      Row{"getpeername", {true, 7}},  Row{"getsockname", {true, 6}},
    Row{"getsockopt", {true, 15}},  Row{"listen", {true, 4}},       Row{"msgctl", {false, 14}},
    Row{"msgget", {false, 13}},     Row{"msgrcv", {false, 12}},     Row{"msgsnd", {false, 11}},
    Row{"recv", {true, 10}},        Row{"recvfrom", {true, 12}},    Row{"recvmmsg", {true, 19}},
    Row{"recvmsg", {true, 17}},     Row{"semctl", {false, 3}},      Row{"semget", {false, 2}},
    Row{"semop", {false, 1}},       Row{"semtimedop", {false, 4}},  Row{"send", {true, 9}},
    Row{"sendmmsg", {true, 20}},    Row{"sendmsg", {true, 16}},     Row{"sendto", {true, 11}},
    Row{"setsockopt", {true, 14}},  Row{"shmat", {false, 21}},      Row{"shmctl", {false, 24}},
    Row{"shmdt", {false, 22}},      Row{"shmget", {false, 23}},     Row{"shutdown", {true, 13}},
    Row{"socket", {true, 1}},       Row{"socketpair", {true, 8}}};
static_assert(std::ranges::is_sorted(kMultiplexed, {}, &Row::name));

std::string_view name_at(std::size_t index) {
  const std::size_t begin = index == 0 ? 0 : kCallTable.ends[index - 1];
  return {kCallTable.names + begin, kCallTable.ends[index] - begin};
}

}  // namespace

const Call* find_call(std::string_view name) {
  std::size_t first = 0;
  for (std::size_t count = kCallTable.count; count > 0;) {
    const auto half = count / 2;
    const auto order = name_at(first + half).compare(name);
    if (order == 0) return &kCallTable.calls[first + half];
    if (order < 0) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return nullptr;
}

std::optional<Multiplexed> find_multiplexed(std::string_view name) {
  const auto found = std::ranges::lower_bound(kMultiplexed, name, {}, &Row::name);
  if (found == kMultiplexed.end() || found->name != name) return std::nullopt;
  return found->call;
}

std::string_view call_table_version() { return kCallTable.version; }

}  // namespace husk::runtime
