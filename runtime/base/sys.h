// One wrapper per system call: returns Result, retries EINTR where that is right, and puts the call
// with its arguments in the error. errno is read nowhere else (style rule 4).
// `dirfd` arguments are borrowed ints, AT_FDCWD allowed. Descriptors are O_CLOEXEC from birth.
// Files: sys.cc (files), sys_mount.cc (mount API), sys_process.cc (processes, credentials, signals),
// sys_socket.cc (sockets, poll). Source: section 2 man page of the same name.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::sys {

// "6</sys/fs/cgroup/web-1>" for error texts; "cwd" for AT_FDCWD.
std::string fd_text(int fd);
// Turns the current errno into an Error; for callers of C libraries that report through errno
// (libmnl). `call` is what was called, with its arguments.
Error last_error(std::string call, int saved_errno);
int saved_errno();  // errno of the call on the line before

// ---- files ----------------------------------------------------------------------------------
Result<UniqueFd> openat(int dirfd, const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> openat2(int dirfd, const std::string& path, const open_how& how);
// Where absence is normal: nullopt for ENOENT and ENOTDIR, and no error text to pay for (fd_text is a system call).
Result<std::optional<UniqueFd>> find_openat2(int dirfd, const std::string& path, const open_how& how);
Result<UniqueFd> dup_cloexec(int fd, int lowest = 3);  // F_DUPFD_CLOEXEC
Status dup2_inherited(int fd, int target);             // result is inherited over exec
Result<std::size_t> read_some(int fd, std::span<char> into);  // 0 = end of file; EAGAIN is Kind::busy
Result<std::size_t> write_some(int fd, std::string_view text);
Status write_all(int fd, std::string_view text);
Result<std::size_t> pwrite_some(int fd, std::string_view text, off_t offset);
Result<std::size_t> pread_some(int fd, std::span<char> into, off_t offset);
Status mkdirat(int dirfd, const std::string& path, mode_t mode);
Status mknodat(int dirfd, const std::string& path, mode_t mode, dev_t device);
Status symlinkat(const std::string& target, int dirfd, const std::string& path);
Status linkat(int from_dir, const std::string& from, int to_dir, const std::string& to, int flags = 0);
Status unlinkat(int dirfd, const std::string& path, int flags = 0);
Status renameat2(int from_dir, const std::string& from, int to_dir, const std::string& to, unsigned flags = 0);
Result<std::string> readlinkat(int dirfd, const std::string& path);
Result<struct stat> fstatat(int dirfd, const std::string& path, int flags);
Result<struct stat> fstat(int fd);
Result<struct statfs> fstatfs(int fd);
Result<std::uint64_t> mount_id(int dirfd, const std::string& path);  // statx(STATX_MNT_ID), symlinks not followed
Result<bool> is_mount_root(int dirfd, const std::string& path);  // statx(STATX_ATTR_MOUNT_ROOT), not followed; 5.8
Status fchmod(int fd, mode_t mode);
Status fchmodat(int dirfd, const std::string& path, mode_t mode);
Status fchown(int fd, uid_t uid, gid_t gid);
Status fchownat(int dirfd, const std::string& path, uid_t uid, gid_t gid, int flags);
Status utimensat(int dirfd, const std::string& path, const struct timespec times[2], int flags);
Status futimens(int fd, const struct timespec times[2]);
Status fsetxattr(int fd, const std::string& name, std::string_view value, int flags = 0);
Result<std::string> fgetxattr(int fd, const std::string& name);
Result<std::vector<std::string>> flistxattr(int fd);
Status lsetxattr(const std::string& path, const std::string& name, std::string_view value, int flags = 0);
Result<std::string> lgetxattr(const std::string& path, const std::string& name);
Result<std::vector<std::string>> llistxattr(const std::string& path);
Status ftruncate(int fd, off_t size);
Status fsync(int fd);
Status fdatasync(int fd);
Status syncfs(int fd);
Status fchdir(int fd);
Status chdir(const std::string& path);
Result<std::string> getcwd();
Status flock(int fd, int operation);  // LOCK_EX etc.; LOCK_NB gives Kind::busy
Result<UniqueFd> memfd_create(const std::string& name, unsigned flags);
Status add_seals(int fd, int seals);
struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
Result<Pipe> pipe2(int flags = O_CLOEXEC);
Status set_nonblocking(int fd, bool on);
Status set_cloexec(int fd, bool on);
Status close_range(unsigned first, unsigned last, unsigned flags);
Status mkfifoat(int dirfd, const std::string& path, mode_t mode);
Result<off_t> lseek(int fd, off_t offset, int whence);
Status access(const std::string& path, int mode);  // faccessat(AT_EACCESS)
mode_t umask(mode_t mask);

// Names in a directory, without "." and "..". Opens its own descriptor.
struct DirEntry {
  std::string name;
  unsigned char type;  // DT_*; DT_UNKNOWN possible
  ino_t inode;
};
Result<std::vector<DirEntry>> list_dir(int dirfd);

// ---- mounts (sys_mount.cc) --------------------------------------------------------------------
Result<UniqueFd> fsopen(const std::string& type, unsigned flags = 0);
// Errors carry the kernel's own text, read from the file system context's log.
Status fsconfig_string(int fs, const std::string& key, const std::string& value);
Status fsconfig_flag(int fs, const std::string& key);
Status fsconfig_fd(int fs, const std::string& key, int fd);
Status fsconfig_create(int fs);
Status fsconfig_reconfigure(int fs);
Result<UniqueFd> fsmount(int fs, unsigned attributes);  // MOUNT_ATTR_*
Result<UniqueFd> fspick(int dirfd, const std::string& path, unsigned flags);
Result<UniqueFd> open_tree(int dirfd, const std::string& path, unsigned flags);
Status move_mount(int from_fd, const std::string& from, int to_fd, const std::string& to, unsigned flags);
struct MountAttributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;  // MS_PRIVATE, …
  int userns_fd = -1;
};
Status mount_setattr(int fd, const std::string& path, unsigned flags, const MountAttributes& attributes);
Status mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
             const std::string& data);
Status umount2(const std::string& target, int flags);
Status pivot_root(const std::string& new_root, const std::string& put_old);
Status chroot(const std::string& path);

// ---- processes (sys_process.cc) ---------------------------------------------------------------
struct CloneArgs {
  std::uint64_t flags = 0;  // CLONE_NEW*, CLONE_INTO_CGROUP is added when cgroup_fd >= 0
  int exit_signal = 17;     // SIGCHLD
  int cgroup_fd = -1;
};
struct CloneResult {
  pid_t pid = -1;  // 0 in the child
  UniqueFd pidfd;  // only in the parent
};
// clone3 with CLONE_PIDFD, fork-like (no shared memory). The caller must be single-threaded.
Result<CloneResult> clone3(const CloneArgs& args);
Result<UniqueFd> pidfd_open(pid_t pid, unsigned flags = 0);
Status pidfd_send_signal(int pidfd, int signal);
Status kill(pid_t pid, int signal);
struct WaitResult {
  pid_t pid = 0;    // 0: nothing to reap (WNOHANG)
  int status = 0;   // exit code, or 128 + signal
  int signal = 0;   // 0, or the signal that ended it
  bool stopped = false;
};
Result<WaitResult> waitid_pidfd(int pidfd, int options);
// The wait status (man 2 wait) of a process that its parent has reaped, while this pidfd was open; a child of anybody's.
// Nothing while it is not reaped, and until kernel 6.15. Source: linux/pidfd.h, PIDFD_GET_INFO.
std::optional<int> find_reaped_status(int pidfd);
Result<WaitResult> waitid_any(int options);             // ECHILD is Kind::not_found
Result<WaitResult> waitpid(pid_t pid, int options = 0);
Status unshare(int flags);
Status setns(int fd, int type);
Status set_no_new_privs();
Status set_dumpable(bool on);
Status set_child_subreaper(bool on);
Status set_parent_death_signal(int signal);
Status set_keepcaps(bool on);
Status prctl(int option, unsigned long a, unsigned long b = 0, unsigned long c = 0, unsigned long d = 0);
Result<int> prctl_value(int option, unsigned long a);  // for options that answer with a number
struct CapabilitySets {  // bit n = capability n
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;
};
Status capset(const CapabilitySets& sets);  // of this thread
Status setsid();
Status setresuid(uid_t uid);  // raw system call: real, effective, saved of this thread
Status setresgid(gid_t gid);
Status setgroups(const std::vector<gid_t>& groups);
Status sethostname(std::string_view name);
Status setdomainname(std::string_view name);
struct Limit {
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};
Status setrlimit(int resource, Limit limit);
Result<Limit> getrlimit(int resource);
Status raise_hard_limit(pid_t pid, int resource, std::uint64_t hard);  // never lowers; the soft one stays
Result<int> ioctl(int fd, unsigned long request, void* argument, std::string_view name);
Status execve(const std::string& path, char* const* argv, char* const* envp);  // returns only on failure
Status execveat(int fd, char* const* argv, char* const* envp);                 // AT_EMPTY_PATH
Result<UniqueFd> signalfd(const std::vector<int>& signals);  // blocks them too
Result<UniqueFd> timerfd();                                  // monotonic, non-blocking
Status timerfd_arm(int fd, std::int64_t after_ns);           // 0 disarms
Result<UniqueFd> eventfd();
Result<UniqueFd> inotify_init();
Result<int> inotify_add_watch(int fd, const std::string& path, std::uint32_t mask);
Status keyctl_join_session(const std::string& name);
Status personality(unsigned long persona);
Status sched_setattr_raw(const void* attr);  // struct sched_attr, size inside
Status ioprio_set(int value);
Status set_mempolicy(int mode, const std::vector<unsigned long>& node_mask, unsigned long max_node);
Status sched_setaffinity(pid_t pid, const std::vector<unsigned char>& mask);
Result<int> bpf(int command, void* attr, std::size_t size, std::string_view name);

// ---- sockets, poll (sys_socket.cc) ------------------------------------------------------------
struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
Result<SocketPair> socketpair(int type);  // AF_UNIX, SOCK_CLOEXEC added
Result<UniqueFd> socket(int domain, int type, int protocol = 0);
// Paths beyond 107 bytes are reached through /proc/self/fd of their directory.
Result<UniqueFd> listen_unix(const std::string& path, int type, int backlog, mode_t mode);
Result<UniqueFd> connect_unix(const std::string& path, int type);
Result<UniqueFd> accept(int fd);
Status shutdown(int fd, int how);
struct Received {
  std::string data;
  std::vector<UniqueFd> fds;
  bool end_of_file = false;
  bool truncated = false;
};
Status send_message(int fd, std::string_view data, const std::vector<int>& fds = {});
Result<Received> receive_message(int fd, std::size_t max_bytes, std::size_t max_fds = 8);
struct Peer {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};
Result<Peer> peer_credentials(int fd);
struct PollEntry {
  int fd;
  short events;
  short revents = 0;
};
// timeout_ms < 0 waits for ever. Returns the number of ready entries; 0 = time-out.
Result<int> poll(std::vector<PollEntry>& entries, int timeout_ms);
Result<UniqueFd> epoll_create();
Status epoll_control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data);
struct EpollEvent {
  std::uint32_t events;
  std::uint64_t data;
};
Result<std::vector<EpollEvent>> epoll_wait(int epoll, int timeout_ms);

}  // namespace husk::sys
