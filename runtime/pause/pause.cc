// pause holds a pod's namespaces. As PID 1 of a shared PID namespace it reaps orphans; it leaves
// with 0 on SIGTERM and SIGINT. It allocates nothing and never runs but when a signal comes.
// Source: man 7 pid_namespaces (PID 1 gets only handled signals).
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// Handlers never run, since the signals stay blocked; but a signal whose disposition is the
// default is dropped for PID 1 before sigwaitinfo can see it.
void never_called(int) {}

void reap_all() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

void say(const char* text) {
  if (write(STDOUT_FILENO, text, strlen(text)) < 0) return;  // nobody listens: nothing to do
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    say("pause: takes no arguments; holds the namespaces of a pod, ends on SIGTERM and SIGINT\n");
    return 0;
  }
  constexpr int kSignals[] = {SIGCHLD, SIGTERM, SIGINT};
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : kSignals) {
    sigaddset(&wanted, number);
    struct sigaction action = {};
    action.sa_handler = never_called;
    // Without SA_NOCLDSTOP each stopped orphan would wake us; SA_NOCLDWAIT is left out on purpose:
    // children that ended before this line must be reaped below.
    action.sa_flags = SA_NOCLDSTOP;
    if (sigaction(number, &action, nullptr) != 0) return 2;
  }
  if (sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0) return 3;
  reap_all();
  for (;;) {
    const int number = sigwaitinfo(&wanted, nullptr);
    if (number == SIGTERM || number == SIGINT) return 0;
    reap_all();  // SIGCHLD, or EINTR after SIGCONT
  }
}
