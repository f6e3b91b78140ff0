// What a payload needs without any runtime: bare CGROUP PROGRAM runs PROGRAM in CGROUP, entered by the child just
// before its exec. Exits with the program's code, 128+N for a signal. Source: man 7 cgroups.
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char path[4096];
  if (argc != 3 || snprintf(path, sizeof path, "%s/cgroup.procs", argv[1]) >= (int)sizeof path) return 2;
  const int procs = open(path, O_WRONLY | O_CLOEXEC);
  if (procs < 0) return 2;
  const pid_t pid = vfork();
  if (pid == 0) {
    char *words[] = {argv[2], NULL};
    if (write(procs, "0", 1) != 1) _exit(126);
    execv(argv[2], words);
    _exit(127);
  }
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return 2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
