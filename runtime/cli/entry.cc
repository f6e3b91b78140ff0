// Where the kernel enters a static husk, before the C library. `exec` has to run from a read-only clone of husk
// (self_protect.h); done here, husk starts anew before its C library has set itself up once for nothing.
// There is no libc, no stack protector and no relocation yet: system calls, arguments and nothing else. What
// fails here is tried again by run_from_readonly_mount, which knows how to report it.
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/program_variable.h"

#if defined(__x86_64__)

extern "C" [[noreturn]] void husk_entry();

namespace {

[[gnu::always_inline]] inline long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0) {
  long result = number;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}

long address(const void* pointer) { return reinterpret_cast<long>(pointer); }

[[gnu::always_inline]] inline bool is_exec(const char* word) {
  return word[0] == 'e' && word[1] == 'x' && word[2] == 'e' && word[3] == 'c' && word[4] == '\0';
}

// A clone of the mount that `exe` is on, of that one file, read-only.
[[gnu::always_inline]] inline long open_readonly_clone(long exe) {
  const long tree = call(SYS_open_tree, exe, address(""), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (tree < 0) return tree;
  mount_attr attributes;  // no initialiser: that may become a call of memset
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  attributes.attr_clr = 0;
  attributes.propagation = 0;
  attributes.userns_fd = 0;
  const long done = call(SYS_mount_setattr, tree, address(""), AT_EMPTY_PATH, address(&attributes), sizeof attributes);
  if (done == 0) return tree;
  call(SYS_close, tree);
  return done;
}

// "HUSK_PROGRAM=" and where the file is: the clone has no path, and an argument "exec" may be the id of a container
// whose verb needs the programs beside husk. Errors: false, too long.
constexpr long kMostPath = 4096;
[[gnu::always_inline]] inline bool name_program(char* into) {
  char* end = into;
  for (const char* from = husk::kProgramVariable; *from != '\0'; ++from) {
    *end++ = *from;
    __asm__ volatile("" ::: "memory");  // a plain loop may become a call of strcpy
  }
  *end++ = '=';
  const long length = call(SYS_readlinkat, AT_FDCWD, address("/proc/self/exe"), address(end), kMostPath);
  if (length <= 0 || length >= kMostPath) return false;
  end[length] = '\0';
  return true;
}

// `envp` with one variable before all others, or as it was. In the frame of the caller, which is left by an exec.
[[gnu::always_inline]] inline char** with_variable(char* variable, char** envp, char** into) {
  into[0] = variable;
  long i = 0;
  do {
    into[i + 1] = envp[i];
    __asm__ volatile("" ::: "memory");
  } while (envp[i++] != nullptr);
  return into;
}

[[gnu::always_inline]] inline long count_of(char** words) {
  long count = 0;
  while (words[count] != nullptr) ++count;
  return count;
}

[[gnu::always_inline]] inline void start_from_clone(char** argv, char** envp) {
  const long exe = call(SYS_openat, AT_FDCWD, address("/proc/self/exe"), O_PATH | O_CLOEXEC);
  if (exe < 0) return;
  struct statfs info;
  const bool writable = call(SYS_fstatfs, exe, address(&info)) == 0 && (info.f_flags & ST_RDONLY) == 0;
  const long tree = writable ? open_readonly_clone(exe) : -1;
  if (tree >= 0) {
    char variable[sizeof husk::kProgramVariable + kMostPath];
    char** longer = static_cast<char**>(__builtin_alloca(static_cast<unsigned long>(count_of(envp) + 2) * sizeof(char*)));
    if (name_program(variable)) envp = with_variable(variable, envp, longer);
    call(SYS_execveat, tree, address(""), address(argv), address(envp), AT_EMPTY_PATH);
    call(SYS_close, tree);
  }
  call(SYS_close, exe);
}

}  // namespace

// `stack`: argc, the arguments, NULL, the environment, NULL. Source: System V ABI, AMD64 supplement, 3.4.1.
// An argument that only happens to be "exec" costs a start and changes nothing.
extern "C" [[gnu::used, gnu::no_stack_protector]] void husk_before_libc(long* stack) {
  const long count = stack[0];
  char** argv = reinterpret_cast<char**>(stack + 1);
  for (long i = 1; i < count; ++i) {
    if (!is_exec(argv[i])) continue;
    start_from_clone(argv, argv + count + 1);
    return;
  }
}

// The registers and the stack reach libc's own entry as the kernel left them.
__asm__(R"(
  .text
  .globl husk_entry
  .type husk_entry, @function
husk_entry:
  xorl %ebp, %ebp
  movq %rsp, %rdi
  pushq %rdx
  pushq %rdx
  call husk_before_libc
  popq %rdx
  popq %rdx
  jmp _start
  .size husk_entry, .-husk_entry
)");

#endif
