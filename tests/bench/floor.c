// The floor: the namespaces, mounts and cgroup of config.json made by bare system calls, and no more.
//   floor ROOTFS ID
// What a runtime takes above this is its own: parsing, state, checks, device filter.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call) \
  do {              \
    if ((call) < 0) { perror(#call); _exit(1); } \
  } while (0)

struct fs { const char *type, *target; unsigned long flags; const char *data; };
static const struct fs kFilesystems[] = {
    {"proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
    {"tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"},
    {"devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"tmpfs", "dev/shm", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"},
    {"mqueue", "dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
    {"sysfs", "sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL},
    {"cgroup2", "sys/fs/cgroup", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME | MS_RDONLY, NULL},
};
static const struct { const char *name; unsigned major, minor; } kDevices[] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
static const char *const kLinks[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
    {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
static const char *const kMasked[] = {"proc/acpi", "proc/asound", "proc/kcore", "proc/keys", "proc/latency_stats",
    "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi", "sys/firmware"};
static const char *const kReadonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void mask(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return;
  if (S_ISDIR(info.st_mode)) CHECK(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k"));
  else CHECK(mount("dev/null", path, NULL, MS_BIND, NULL));
}

static void inside(const char *rootfs) {
  CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
  CHECK(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
  CHECK(chdir(rootfs));
  for (size_t i = 0; i < COUNT(kFilesystems); ++i) {
    const struct fs *fs = &kFilesystems[i];
    mkdir(fs->target, 0755);
    CHECK(mount(fs->type, fs->target, fs->type, fs->flags, fs->data));
  }
  for (size_t i = 0; i < COUNT(kDevices); ++i) {
    char path[64];
    snprintf(path, sizeof path, "dev/%s", kDevices[i].name);
    CHECK(mknod(path, S_IFCHR | 0666, makedev(kDevices[i].major, kDevices[i].minor)));
    CHECK(chmod(path, 0666));
  }
  for (size_t i = 0; i < COUNT(kLinks); ++i) CHECK(symlink(kLinks[i][0], kLinks[i][1]));
  for (size_t i = 0; i < COUNT(kMasked); ++i) mask(kMasked[i]);
  for (size_t i = 0; i < COUNT(kReadonly); ++i) {
    if (access(kReadonly[i], F_OK) != 0) continue;
    CHECK(mount(kReadonly[i], kReadonly[i], NULL, MS_BIND | MS_REC, NULL));
    CHECK(mount("none", kReadonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  }
  CHECK(syscall(SYS_pivot_root, ".", "."));
  CHECK(umount2(".", MNT_DETACH));
  CHECK(chdir("/"));
  CHECK(sethostname("bench", 5));
  CHECK(setsid());
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  char *const argv[] = {"/true", NULL};
  char *const environment[] = {"PATH=/bin", NULL};
  CHECK(execve("/true", argv, environment));
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  char cgroup[256];
  snprintf(cgroup, sizeof cgroup, "/sys/fs/cgroup/%s", argv[2]);
  CHECK(mkdir(cgroup, 0755));
  const int cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(cgroup_fd);
  struct clone_args args;
  memset(&args, 0, sizeof args);
  args.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = (uint64_t)cgroup_fd;
  const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  CHECK(pid);
  if (pid == 0) inside(argv[1]);
  int status;
  CHECK(waitpid(pid, &status, 0));
  CHECK(rmdir(cgroup));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
