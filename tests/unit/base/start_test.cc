// runtime/base/start: what a static program finds when main begins.
#include "base/process.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string beside_this_program(const std::string& name) {
  const auto self = sys::readlinkat(AT_FDCWD, "/proc/self/exe");
  REQUIRE_OK(self);
  return self.value().substr(0, self.value().rfind('/') + 1) + name;
}

}  // namespace

TEST_CASE("start: a static program is set up like any other, position independent or not") {
  for (const auto* name : {"start_probe", "start_probe_fixed"}) {
    const auto ran = husk::run({.path = beside_this_program(name), .arguments = {name}});
    REQUIRE_OK(ran);
    CAPTURE(name);
    CHECK(ran.value().status.code == 0);  // the number of the check that failed
    CHECK(ran.value().out == "destroyed\n");
  }
}

TEST_CASE("start: husk, husk-monitor and pause never execute CPUID, which traps in a virtual machine") {
  if (!HUSK_QUICK_START)
    HUSK_SKIP("the C library here is not the one that runtime/base/start knows: its own start is linked");
  for (const auto* name : {"husk", "husk-monitor", "pause"}) {
    const auto listing = husk::run({.path = "/bin/sh",
                                      .arguments = {"sh", "-c", "objdump -d \"$0\" | grep -cw cpuid", program(name)}});
    REQUIRE_OK(listing);
    CAPTURE(name);
    CHECK(listing.value().out == "0\n");
  }
}
