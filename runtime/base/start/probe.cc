// Tells whether a program that libc_start.cc starts is set up like any other: constructors, environment, guards,
// thread-local memory, exceptions, threads, copies and string functions, destructors. Exits with 0, or with the number of the first
// check that failed. Run by CMake when it decides which start is linked, and by the tests.
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

extern "C" char* program_invocation_name;

namespace {

int constructed = 0;
struct Global {
  Global() { ++constructed; }
  ~Global() { std::puts("destroyed"); }
};
Global global;
thread_local std::string own = "first";

void* in_a_thread(void* result) {
  own += " second";
  *static_cast<bool*>(result) = own == "first second";
  return nullptr;
}

bool throws() {
  try {
    return std::stoi(std::string(100, '7')) != 0;
  } catch (const std::out_of_range&) {
    return true;
  }
}

bool threads_work() {
  bool fresh = false;
  pthread_t thread;
  if (pthread_create(&thread, nullptr, in_a_thread, &fresh) != 0) return false;
  return pthread_join(thread, nullptr) == 0 && fresh && own == "first";
}

// Lengths on both sides of each threshold of memcpy and memset, and overlapping ones.
bool copies_work() {
  for (std::size_t size = 1; size <= (std::size_t{8} << 20); size = size * 3 + 1) {
    std::vector<unsigned char> from(size + 1);
    for (std::size_t i = 0; i < size; ++i) from[i] = static_cast<unsigned char>(i * 31 + i / 251);
    std::vector<unsigned char> to(size + 1);
    std::memcpy(to.data(), from.data(), size);
    if (std::memcmp(to.data(), from.data(), size) != 0) return false;
    std::memmove(to.data() + 1, to.data(), size);
    if (std::memcmp(to.data() + 1, from.data(), size) != 0) return false;
    std::memset(to.data(), 7, size);
    for (std::size_t i = 0; i < size; ++i) {
      if (to[i] != 7) return false;
    }
  }
  return true;
}

// What strings.ld names: the right one of each family, and its result. `volatile`: not worked out by the compiler.
bool strings_work() {
  const char* volatile source = "a needle in a Haystack, a NEEDLE";
  const char* text = source;
  std::array<char, 64> to{};
  const wchar_t* volatile wide = L"wide";
  return std::strlen(text) == 32 && strnlen(text, 7) == 7 && std::strchr(text, 'H') == text + 14 &&
         std::strrchr(text, 'a') == text + 24 && std::strstr(text, "in a") == text + 9 && strchrnul(text, '?') == text + 32 &&
         std::memchr(text, 'd', 32) == text + 5 && rawmemchr(text, ',') == text + 22 && std::strspn(text, "a ") == 2 &&
         std::strcspn(text, "H") == 14 && stpcpy(to.data(), text) == to.data() + 32 &&
         std::strcmp(to.data(), text) == 0 && std::strncmp(text, "a nose", 3) == 0 && std::strncmp(text, "a nose", 4) != 0 &&
         strcasecmp(text, "A NEEDLE IN A HAYSTACK, A needle") == 0 && strcasecmp(text, "A NEEDLE IN") > 0 &&
         strcasecmp_l(text, "B", newlocale(LC_ALL_MASK, "C", nullptr)) < 0 && std::string_view{std::strerror(ENOENT)} == "No such file or directory" && strncasecmp(text, "A Need!", 6) == 0 &&
         mempcpy(to.data(), text, 5) == to.data() + 5 && std::wcslen(wide) == 4 && wcsnlen(wide, 3) == 3 &&
         std::wmemchr(wide, L'd', 4) == wide + 2;
}

std::uintptr_t stack_guard() {
  std::uintptr_t value = 0;
#if defined(__x86_64__)
  __asm__("movq %%fs:0x28, %0" : "=r"(value));
#endif
  return value;
}

// The first 7 bytes of AT_RANDOM over a zero byte: no text runs over it.
bool guard_is_random() {
  const auto* random = reinterpret_cast<const void*>(getauxval(AT_RANDOM));
  std::uintptr_t expected = 0;
  std::memcpy(&expected, random, sizeof expected);
  return stack_guard() != 0 && stack_guard() == (expected & ~std::uintptr_t{0xff});
}

}  // namespace

int main(int argc, char** argv) {
  if (constructed != 1) return 1;
  if (argc < 1 || argv[argc] != nullptr || program_invocation_name != argv[0]) return 2;
  if (environ != argv + argc + 1) return 3;
  if (setenv("HUSK_PROBE", "set", 1) != 0 || std::string{std::getenv("HUSK_PROBE")} != "set") return 4;
  if (!guard_is_random()) return 5;
  if (!throws()) return 6;
  if (!threads_work()) return 7;
  if (!copies_work()) return 8;
  if (!strings_work()) return 9;
  if (getauxval(AT_PAGESZ) != static_cast<unsigned long>(sysconf(_SC_PAGESIZE))) return 10;
  return 0;
}
