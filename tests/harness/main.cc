// Entry of every test program: doctest, plus a count of skips with their reasons.
#define DOCTEST_CONFIG_IMPLEMENT
#include "harness/harness.h"

#include <cstdio>

namespace husk::test {
namespace {
int skips = 0;
}  // namespace

void record_skip(const std::string& test, const std::string& reason) {
  ++skips;
  std::printf("SKIP %s: %s\n", test.c_str(), reason.c_str());
}

std::string source_dir() { return HUSK_SOURCE_DIR; }

}  // namespace husk::test

int main(int argc, char** argv) {
  doctest::Context context{argc, argv};
  context.setOption("no-path-filenames", true);
  const int code = context.run();
  if (context.shouldExit()) return code;
  std::printf("SKIPS %d\n", husk::test::skips);
  return code;
}
