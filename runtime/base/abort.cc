// How a program of ours ends when it must not go on. The C and C++ libraries' own last words bring printf,
// translation catalogues, character sets and a demangler into a static program: a tenth of husk.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string_view>

#include "base/result.h"
#include "base/format.h"

namespace husk {
namespace {

void say(std::string_view text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // nobody listens: the signal tells
}

[[noreturn]] void die(std::string_view what, std::string_view why) {
  for (const auto part : {std::string_view{"husk: "}, what, why, std::string_view{"\n"}}) say(part);
  std::abort();
}

}  // namespace

void require(bool condition, const char* text) {
  if (!condition) die("programming error: ", text);
}

}  // namespace husk

// What assert(3) calls, in a library that is linked in. Source: assert.h of glibc.
extern "C" [[noreturn]] void __assert_fail(const char* expression, const char* file, unsigned line, const char*) noexcept {
  husk::die("programming error in a library: ", husk::format_text("{}:{}: {}", file, line, expression));
}

// What std::terminate calls. Source: libstdc++ manual, "Verbose Terminate Handler".
namespace __gnu_cxx {
void __verbose_terminate_handler() {
  const auto exception = std::current_exception();
  if (exception == nullptr) husk::die("programming error: ", "std::terminate was called");
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    husk::die("an exception was not caught: ", error.what());
  } catch (...) {
    husk::die("an exception was not caught: ", "of an unknown type");
  }
}
}  // namespace __gnu_cxx
