#include "signal_names.h"

#include <signal.h>

#include <array>

#include "base/format.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

struct Row {
  std::string_view name;
  int number;
};
constexpr std::array kSignals{
    Row{"hup", SIGHUP},   Row{"int", SIGINT},   Row{"quit", SIGQUIT}, Row{"ill", SIGILL},       Row{"trap", SIGTRAP},
    Row{"abrt", SIGABRT}, Row{"iot", SIGABRT},  Row{"bus", SIGBUS},   Row{"fpe", SIGFPE},       Row{"kill", SIGKILL},
    Row{"usr1", SIGUSR1}, Row{"segv", SIGSEGV}, Row{"usr2", SIGUSR2}, Row{"pipe", SIGPIPE},     Row{"alrm", SIGALRM},
    Row{"term", SIGTERM}, Row{"stkflt", 16},    Row{"chld", SIGCHLD}, Row{"cld", SIGCHLD},      Row{"cont", SIGCONT},
    Row{"stop", SIGSTOP}, Row{"tstp", SIGTSTP}, Row{"ttin", SIGTTIN}, Row{"ttou", SIGTTOU},     Row{"urg", SIGURG},
    Row{"xcpu", SIGXCPU}, Row{"xfsz", SIGXFSZ}, Row{"vtalrm", SIGVTALRM}, Row{"prof", SIGPROF}, Row{"winch", SIGWINCH},
    Row{"io", SIGIO},     Row{"poll", SIGIO},   Row{"pwr", SIGPWR},   Row{"sys", SIGSYS}};

// The kernel's range, as the container sees it; glibc keeps two of these for itself.
constexpr int kFirstRealtime = 34;
constexpr int kLastSignal = 64;

}  // namespace

Result<int> parse_signal(std::string_view text) {
  const auto bad = [&] {
    return Error{Kind::invalid, format_text("invalid signal {}", quote(text))}.hint("use a name like TERM or a number from 1 to 64");
  };
  if (const auto number = parse_uint32(text); number.has_value()) {
    if (number.value() > static_cast<std::uint32_t>(kLastSignal)) return bad();
    return static_cast<int>(number.value());
  }
  auto name = to_lower(text);
  if (name.starts_with("sig")) name.erase(0, 3);
  for (const auto& row : kSignals)
    if (row.name == name) return row.number;
  const bool from_first = name.starts_with("rtmin");
  if (!from_first && !name.starts_with("rtmax")) return bad();
  const auto rest = std::string_view{name}.substr(5);
  if (rest.empty()) return from_first ? kFirstRealtime : kLastSignal;
  if (rest.front() != (from_first ? '+' : '-')) return bad();
  const auto offset = parse_uint32(rest.substr(1));
  if (!offset.has_value() || offset.value() > static_cast<std::uint32_t>(kLastSignal - kFirstRealtime)) return bad();
  const int distance = static_cast<int>(offset.value());
  return from_first ? kFirstRealtime + distance : kLastSignal - distance;
}

}  // namespace husk::runtime
