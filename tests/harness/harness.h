// What every test may use: doctest, HUSK_SKIP with a reason, temporary directories, REQUIRE_OK.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/format.h"
#include "base/result.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::test {

// Counts a test as skipped. Only for what the machine lacks (root, a cgroup version, a tool).
void record_skip(const std::string& test, const std::string& reason);

// The top of the source tree, absolute. One file knows it, so that the others compile alike in every clone.
std::string source_dir();

// A directory under /tmp (or $TMPDIR), removed at the end.
class TempDir {
 public:
  TempDir() : path_{format_text("{}/husk-test-{}", base(), random_hex(8))} {
    REQUIRE(husk::make_directories(path_, 0755).has_value());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { (void)remove_tree(AT_FDCWD, path_); }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  static std::string base() {
    const char* from_environment = std::getenv("TMPDIR");
    return from_environment != nullptr ? from_environment : "/tmp";
  }
  std::string path_;
};

template <class T>
std::string error_text(const Result<T>& result) {
  return result.has_value() ? "success" : result.error().to_string();
}

// Where the programs under test are: $HUSK_BIN_DIR, else bin/ beside the directory of this test.
inline std::string program(const std::string& name) {
  if (const char* directory = std::getenv("HUSK_BIN_DIR")) return std::string{directory} + "/" + name;
  const auto self = sys::readlinkat(AT_FDCWD, "/proc/self/exe");
  REQUIRE(self.has_value());
  const auto tests = self.value().substr(0, self.value().rfind('/'));
  return tests.substr(0, tests.rfind('/')) + "/bin/" + name;
}

// For what another process does a moment later: looks every 5 ms, for 5 s at most.
inline bool eventually(const std::function<bool()>& is_so) {
  for (int look = 0; look < 1000; ++look) {
    if (is_so()) return true;
    std::vector<sys::PollEntry> nothing;
    (void)sys::poll(nothing, 5);
  }
  return false;
}

inline bool is_root() { return ::geteuid() == 0; }

}  // namespace husk::test

// Ends the running TEST_CASE as skipped, with one line that names the reason.
#define HUSK_SKIP(reason)                                                                       \
  do {                                                                                          \
    ::husk::test::record_skip(doctest::getContextOptions()->currentTest->m_name, (reason));     \
    return;                                                                                     \
  } while (false)

// Checks that a Result holds a value; shows the error text when not.
#define CHECK_OK(result) CHECK_MESSAGE((result).has_value(), ::husk::test::error_text(result))
#define REQUIRE_OK(result) REQUIRE_MESSAGE((result).has_value(), ::husk::test::error_text(result))
