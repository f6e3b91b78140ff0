#include "init/signals.h"

#include <signal.h>

namespace husk::runtime {

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) (void)::signal(signal, SIG_DFL);  // KILL and STOP refuse
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace husk::runtime
