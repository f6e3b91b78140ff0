#include "init/payload.h"

#include <elf.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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

bool is_same(const FileIdentity& own, const struct stat& other) {
  return own.device == other.st_dev && own.inode == other.st_ino;
}

// "#! /bin/sh -x" → "/bin/sh"; empty when the file is no script.
std::string interpreter_of(std::string_view head) {
  if (!head.starts_with("#!")) return "";
  const auto line = trim(head.substr(2, head.find('\n') - 2));
  return std::string{line.substr(0, line.find_first_of(" \t"))};
}

Status check_machine(std::string_view head, const std::string& path) {
  Elf64_Ehdr elf{};
  if (head.size() < sizeof elf || !head.starts_with(ELFMAG)) return ok();
  std::memcpy(&elf, head.data(), sizeof elf);
#if defined(__x86_64__)
  const bool native = elf.e_machine == EM_X86_64 || elf.e_machine == EM_386;
#elif defined(__aarch64__)
  const bool native = elf.e_machine == EM_AARCH64 || elf.e_machine == EM_ARM;
#else
  const bool native = true;
#endif
  if (native) return ok();
  return exec_error(Kind::invalid, path, "exec format error")
      .hint(format_text("the program is built for another machine (ELF machine {})", elf.e_machine));
}

Result<UniqueFd> open_regular(const std::string& path) {
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
  if (!S_ISREG(info.st_mode)) return Error{Kind::denied, format_text("{} is not a regular file", quote(path))};
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

}  // namespace

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env) {
  if (name.empty()) return exec_error(Kind::not_found, name, "executable file not found in $PATH");
  if (name.find('/') != std::string::npos) {
    auto fine = can_execute(name);
    if (fine.has_value()) return name;
    if (fine.error().kind() == Kind::not_found)
      return exec_error(Kind::not_found, name, format_text("stat {}: no such file or directory", name));
    if (fine.error().kind() == Kind::denied) return exec_error(Kind::denied, name, "permission denied");
    return std::move(fine).error().during(format_text("exec: {}", quote(name)));
  }
  bool denied = false;
  for (const auto directory : split(path_variable(env), ':')) {
    if (!directory.starts_with('/')) continue;  // an empty or relative entry would mean the cwd
    const auto path = format_text("{}/{}", directory, name);
    const auto fine = can_execute(path);
    if (fine.has_value()) return path;
    denied = denied || fine.error().os_errno() == EACCES;
  }
  if (denied) return exec_error(Kind::denied, name, "permission denied");
  return exec_error(Kind::not_found, name, "executable file not found in $PATH");
}

Result<FileIdentity> own_identity() {
  const auto info = TRY(sys::fstatat(AT_FDCWD, "/proc/self/exe", 0));
  return FileIdentity{.device = info.st_dev, .inode = info.st_ino};
}

Status check_program(const std::string& path, const FileIdentity& own) {
  std::string current = path;
  for (int level = 0; level <= kMaxInterpreters; ++level) {
    const auto file = open_regular(current);
    if (!file.has_value()) {
      if (level > 0 && file.error().kind() == Kind::not_found)
        return exec_error(Kind::not_found, path, "no such file or directory")
            .hint(format_text("its interpreter {} is missing", quote(current)));
      return ok();  // executable but not readable: exec will say
    }
    const auto info = TRY(sys::fstat(file.value().get()));
    if (is_same(own, info))
      return exec_error(Kind::denied, path, "permission denied").hint("it leads to the container runtime's own binary");
    std::array<char, 256> block{};
    const auto count = TRY(sys::read_some(file.value().get(), block));
    const std::string_view head{block.data(), count};
    auto interpreter = interpreter_of(head);
    if (interpreter.empty()) return check_machine(head, current);
    current = std::move(interpreter);
  }
  return ok();
}

Error exec_payload(const Payload& payload) {
  if (payload.filter != nullptr) {
    const sock_fprog program{.len = static_cast<unsigned short>(payload.filter->program.size()),
                             .filter = const_cast<sock_filter*>(payload.filter->program.data())};
    auto loaded = sys::load_seccomp(&program, payload.filter->flags);
    if (!loaded.has_value()) return std::move(loaded).error().during("load seccomp filter");
  }
  const auto done = sys::execve(payload.path, payload.argv.get(), payload.envp.get());
  auto error = done.error();
  return Error{error.kind(), format_text("exec: {}", quote(payload.path)), error.os_errno()};
}

}  // namespace husk::runtime
