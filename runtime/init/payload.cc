#include "init/payload.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/format.h"
#include "base/sys.h"
#include "base/sys_listener.h"
#include "base/text.h"
#include "seccomp/verdict.h"

namespace husk::runtime {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kMostDescriptors = 1024;  // the listener is the lowest free one
constexpr int kMaxInterpreters = 5;  // as many "#!" levels as the kernel follows

Error exec_error(Kind kind, const std::string& name, std::string_view why) {
  return Error{kind, format_text("exec: {}: {}", quote(name), why)};
}

std::string_view path_variable(const std::vector<std::string>& env) {
  std::string_view found = kDefaultPath;
  for (const auto& item : env)
    if (item.starts_with("PATH=")) found = std::string_view{item}.substr(5);
  return found;
}

// A regular file that this user may execute.
Status can_execute(const std::string& path) {
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
  if (!S_ISREG(info.st_mode)) return Error{Kind::denied, "not a regular file"};
  return sys::access(path, X_OK);
}

// Why the kernel denies to execute it, as far as that can be seen.
std::string why_denied(const std::string& path) {
  const auto file = sys::openat(AT_FDCWD, path, O_PATH);
  if (!file.has_value()) return "a directory on the way does not let this user through";
  const auto info = sys::fstat(file.value().get());
  const auto place = sys::fstatfs(file.value().get());
  if (!info.has_value() || !place.has_value()) return "";
  if (S_ISDIR(info.value().st_mode)) return "it is a directory";
  if (!S_ISREG(info.value().st_mode)) return "it is not a regular file";
  if ((info.value().st_mode & 0111) == 0) return format_text("its mode {:04o} lets nobody execute it", info.value().st_mode & 07777);
  if ((static_cast<unsigned long>(place.value().f_flags) & ST_NOEXEC) != 0)
    return "it is on a mount with the option noexec, of \"/mounts\" or of the host where the rootfs is";
  return format_text("its mode {:04o} and owner {}:{} do not let this user execute it", info.value().st_mode & 07777,
                     info.value().st_uid, info.value().st_gid);
}

Error denied(const std::string& name, const std::string& path) {
  return exec_error(Kind::denied, name, "permission denied").hint(why_denied(path));
}

bool is_same(const FileIdentity& own, const struct stat& other) {
  return own.device == other.st_dev && own.inode == other.st_ino;
}

// "#! /bin/sh -x" → "/bin/sh"; empty when the file is no script.
std::string interpreter_of(std::string_view head) {
  if (!head.starts_with("#!")) return "";
  const auto line = trim(head.substr(2, head.find('\n') - 2));
  return std::string{line.substr(0, line.find_first_of(" \t"))};
}

bool is_native(const Elf64_Ehdr& elf) {
#if defined(__x86_64__)
  return elf.e_machine == EM_X86_64 || elf.e_machine == EM_386;
#elif defined(__aarch64__)
  return elf.e_machine == EM_AARCH64 || elf.e_machine == EM_ARM;
#else
  return true;
#endif
}

// Up to `size` bytes at `offset`; less at the end of the file, or when it cannot be read.
std::string read_at(const UniqueFd& file, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  const auto got = sys::pread_some(file.get(), bytes, static_cast<off_t>(offset));
  bytes.resize(got.has_value() ? got.value() : 0);
  return bytes;
}

// The loader that a dynamic program names (PT_INTERP); empty for a static one. Source: man 5 elf.
std::string loader_of(const UniqueFd& file, const Elf64_Ehdr& elf) {
  constexpr std::size_t kMostSegments = 65536 / sizeof(Elf64_Phdr);  // fs/binfmt_elf.c, load_elf_phdrs
  if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(Elf64_Phdr)) return "";
  const auto count = std::min<std::size_t>(elf.e_phnum, kMostSegments);
  const auto table = read_at(file, elf.e_phoff, count * sizeof(Elf64_Phdr));
  for (std::size_t at = 0; at + sizeof(Elf64_Phdr) <= table.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr segment{};
    std::memcpy(&segment, table.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP) continue;
    const auto name = read_at(file, segment.p_offset, std::min<std::uint64_t>(segment.p_filesz, PATH_MAX));
    return name.substr(0, name.find('\0'));
  }
  return "";
}

Error refuse_own(const std::string& path) {
  return exec_error(Kind::denied, path, "permission denied").hint("it leads to the container runtime's own binary");
}

// The kernel opens the loader while /proc/self/exe is still husk, as it does with the name in a "#!" line.
Status check_loader(const std::string& loader, const std::string& path, const FileIdentity& own) {
  if (loader.empty()) return ok();
  const auto info = sys::fstatat(AT_FDCWD, loader, 0);
  if (info.has_value()) return is_same(own, info.value()) ? Status{refuse_own(path)} : ok();
  if (info.error().kind() != Kind::not_found) return ok();  // exec will say
  return exec_error(Kind::not_found, path, "no such file or directory")
      .hint(format_text("its program loader {} is missing in the image: it is built for another C library", quote(loader)));
}

// A program of another machine is not refused: binfmt_misc may know an emulator for it.
Result<std::string> check_format(const UniqueFd& file, std::string_view head, const std::string& path,
                                 const FileIdentity& own) {
  Elf64_Ehdr elf{};
  if (head.size() < sizeof elf || !head.starts_with(ELFMAG)) return std::string{"it is no ELF program and has no #! line"};
  std::memcpy(&elf, head.data(), sizeof elf);
  if (!is_native(elf))
    return format_text("it is built for another machine (ELF machine {}), for which binfmt_misc knows no emulator", elf.e_machine);
  TRY(check_loader(loader_of(file, elf), path, own));
  return std::string{};
}

// Our own file is refused by its looks: it may be executable and not readable.
Result<UniqueFd> open_regular(const std::string& path, const FileIdentity& own) {
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
  if (is_same(own, info)) return UniqueFd{};
  if (!S_ISREG(info.st_mode)) return Error{Kind::denied, format_text("{} is not a regular file", quote(path))};
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

}  // namespace

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env) {
  if (name.empty()) return exec_error(Kind::not_found, name, "executable file not found in $PATH").hint("\"/process/args/0\" is empty");
  if (name.find('/') != std::string::npos) {
    auto fine = can_execute(name);
    if (fine.has_value()) return name;
    if (fine.error().kind() == Kind::not_found)
      return exec_error(Kind::not_found, name, format_text("stat {}: no such file or directory", name))
          .hint("\"/process/args/0\" must name a file of the image, or of its mounts");
    if (fine.error().kind() == Kind::denied) return denied(name, name);
    return std::move(fine).error().during(format_text("exec: {}", quote(name)));
  }
  std::string first_denied;
  for (const auto directory : split(path_variable(env), ':')) {
    if (!directory.starts_with('/')) continue;  // an empty or relative entry would mean the cwd
    const auto path = format_text("{}/{}", directory, name);
    const auto fine = can_execute(path);
    if (fine.has_value()) return path;
    if (first_denied.empty() && fine.error().os_errno() == EACCES) first_denied = path;
  }
  if (!first_denied.empty()) return denied(name, first_denied);
  return exec_error(Kind::not_found, name, "executable file not found in $PATH")
      .hint(format_text("\"/process/args/0\" is looked for in PATH={}", path_variable(env)));
}

Result<FileIdentity> own_identity() {
  const auto info = TRY(sys::fstatat(AT_FDCWD, "/proc/self/exe", 0));
  return FileIdentity{.device = info.st_dev, .inode = info.st_ino};
}

Result<std::string> check_program(const std::string& path, const FileIdentity& own) {
  std::string current = path;
  for (int level = 0; level <= kMaxInterpreters; ++level) {
    const auto file = open_regular(current, own);
    if (!file.has_value()) {
      if (level > 0 && file.error().kind() == Kind::not_found)
        return exec_error(Kind::not_found, path, "no such file or directory")
            .hint(format_text("its interpreter {} is missing", quote(current)));
      return std::string{};  // executable but not readable: exec will say
    }
    if (!file.value().is_open() || is_same(own, TRY(sys::fstat(file.value().get())))) return refuse_own(path);
    std::array<char, 256> block{};
    const auto count = TRY(sys::read_some(file.value().get(), block));
    const std::string_view head{block.data(), count};
    auto interpreter = interpreter_of(head);
    if (interpreter.empty()) return check_format(file.value(), head, current, own);
    current = std::move(interpreter);
  }
  return std::string{};
}

Status offer_listener(Payload& payload, const Channel& channel) {
  if (payload.filter == nullptr || !payload.filter->has_listener()) return ok();
  const auto page = sys::page_size();
  auto* const memory = TRY(sys::map_memory(kMostDescriptors * page));
  const ListenerOffer offer{.faults = TRY(sys::watch_faults(memory, kMostDescriptors * page)
                                              .during("prepare the seccomp listener")
                                              .hint("SCMP_ACT_NOTIFY needs userfaultfd(2) of Linux 5.11")),
                            .memory = reinterpret_cast<std::uintptr_t>(memory)};
  payload.gate = {.memory = static_cast<char*>(memory), .page = page};
  return channel.send_listener(offer);
}

namespace {

// The filter is on: whatever it does to a system call, none is made. Touching the page is the message, and stops us
// until listener.cc has filled it. When the other side is gone it is filled with zeroes: no agent, no program.
void wait_for_agent(const Gate& gate, int listener) {
  const auto number = static_cast<std::size_t>(listener);
  if (number >= kMostDescriptors || *static_cast<volatile char*>(gate.memory + number * gate.page) != kAgentHasIt) __builtin_trap();
}

// Asked before the filter is on: a process that may not execve may seldom say so either.
Status check_filter(const Payload& payload) {
  const auto word = [](const void* pointer) { return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer)); };
  const seccomp_data call{.nr = SYS_execve,
                          .arch = native_token(),
                          .instruction_pointer = 0,
                          .args = {word(payload.path.c_str()), word(payload.argv.get()), word(payload.envp.get()), 0, 0, 0}};
  switch (run_filter(payload.filter->program, call).action & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_USER_NOTIF:  // the agent decides
    case SECCOMP_RET_TRACE: return ok();  // a tracer does, if there is one
    default:
      return exec_error(Kind::denied, payload.path, "the container's seccomp filter refuses the system call execve")
          .hint("allow \"execve\" in \"/linux/seccomp/syscalls\"");
  }
}

}  // namespace

Error exec_payload(const Payload& payload) {
  if (payload.filter != nullptr) {
    auto allowed = check_filter(payload);
    if (!allowed.has_value()) return std::move(allowed).error();
    const sock_fprog program{.len = static_cast<unsigned short>(payload.filter->program.size()),
                             .filter = const_cast<sock_filter*>(payload.filter->program.data())};
    auto loaded = sys::load_filter(&program, payload.filter->flags);
    if (!loaded.has_value()) return std::move(loaded).error().during("load seccomp filter");
    if (payload.gate.memory != nullptr) wait_for_agent(payload.gate, loaded.value());
  }
  const auto done = sys::execve(payload.path, payload.argv.get(), payload.envp.get());
  auto error = done.error();
  if (error.os_errno() == ENOEXEC)
    return exec_error(Kind::invalid, payload.path, "exec format error").hint(payload.format_hint);
  return Error{error.kind(), format_text("exec: {}", quote(payload.path)), error.os_errno()};
}

}  // namespace husk::runtime
