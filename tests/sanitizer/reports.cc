// In every program of the presets asan and tsan: how the sanitizers behave, and how what they find reaches the
// suite from wherever the process is. Init of a container reports from behind pivot_root, close_range and a
// change of user, where no file can be opened and standard error is the container's. So each program maps one
// shared file at its start; a report is copied into it without a system call. Source: sanitizer/asan_interface.h.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>

extern "C" {
extern const char husk_reports_path[];  // written by CMake
const char* __asan_default_options();
const char* __ubsan_default_options();
const char* __tsan_default_options();
void __asan_set_error_report_callback(void (*callback)(const char*)) __attribute__((weak));
void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file, unsigned* line,
                                     unsigned* column, char** address) __attribute__((weak));
void __ubsan_on_report();
void __tsan_on_report(void* report);
}

namespace {

struct Reports {
  std::atomic<std::uint64_t> used;  // what did not fit counts too
  char text[(1 << 20) - sizeof used];
};
Reports* reports = nullptr;

void keep(const char* text) {
  if (reports == nullptr) return;
  const std::size_t size = std::strlen(text);
  const auto at = reports->used.fetch_add(size);
  if (at < sizeof reports->text) std::memcpy(reports->text + at, text, std::min(size, sizeof reports->text - at));
}

// The suite makes the file; a program that is run by hand reports on standard error alone.
[[gnu::constructor]] void map_reports() {
  const int fd = ::open(husk_reports_path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info{};
  if (::fstat(fd, &info) == 0 && info.st_size == sizeof(Reports)) {
    void* mapped = ::mmap(nullptr, sizeof(Reports), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) reports = static_cast<Reports*>(mapped);
  }
  ::close(fd);
  if (reports != nullptr && __asan_set_error_report_callback != nullptr) __asan_set_error_report_callback(keep);
}

}  // namespace

// exitcode and not abort: SIGABRT does not end the first process of a pid namespace. Leaks are not looked for:
// LeakSanitizer traces its own process, which a process that changed its user, or that is traced, forbids.
const char* __asan_default_options() {
  return "exitcode=86:detect_leaks=0:handle_abort=1:detect_stack_use_after_return=1:strict_string_checks=1:"
         "check_initialization_order=1:quarantine_size_mb=16";
}
const char* __ubsan_default_options() { return "exitcode=86:halt_on_error=1:print_stacktrace=1"; }
const char* __tsan_default_options() { return "exitcode=86:second_deadlock_stack=1"; }

// UBSan hands its report over in parts.
void __ubsan_on_report() {
  if (__ubsan_get_current_report_data == nullptr) return;
  const char* kind = "";
  const char* message = "";
  const char* file = "";
  unsigned line = 0;
  unsigned column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  char text[1024];
  (void)std::snprintf(text, sizeof text, "UBSan, process %d: %s:%u:%u: %s: %s\n", ::getpid(), file, line, column, kind, message);
  keep(text);
}

void __tsan_on_report(void*) { keep("TSan: a data race or a lock order; its text is in the log of the test\n"); }
