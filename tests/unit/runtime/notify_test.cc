#include "harness/harness.h"
#include "notify.h"

using namespace husk;
using namespace husk::runtime;

TEST_CASE("man 3 sd_notify: what a container may say to the host's service manager") {
  CHECK(passable_notifications("READY=1") == "READY=1\n");
  CHECK(passable_notifications("READY=1\nMAINPID=1\nSTATUS=up and running\n") == "READY=1\nSTATUS=up and running\n");
  CHECK(passable_notifications("WATCHDOG=1\nSTOPPING=1\nRELOADING=1\nMONOTONIC_USEC=12") == "WATCHDOG=1\nSTOPPING=1\nRELOADING=1\nMONOTONIC_USEC=12\n");
  CHECK(passable_notifications("ERRNO=2\nEXTEND_TIMEOUT_USEC=100") == "ERRNO=2\nEXTEND_TIMEOUT_USEC=100\n");
  for (const auto* line : {"", "READY=2", "READY=1 ", " READY=1", "READY", "MAINPID=1", "MAINPIDFD=1", "FDSTORE=1", "FDSTOREREMOVE=1",
                           "FDNAME=x", "FDPOLL=0", "NOTIFYACCESS=all", "BARRIER=1", "WATCHDOG=trigger", "WATCHDOG_USEC=1", "BUSERROR=x",
                           "EXIT_STATUS=1", "ERRNO=x", "ERRNO=-1", "STATUS=a\tb", "X_OWN=1"}) {
    CAPTURE(line);
    CHECK(passable_notifications(line).empty());
  }
}

TEST_CASE("ready is a whole line") {
  CHECK(says_ready("READY=1\n"));
  CHECK(says_ready("STATUS=x\nREADY=1\n"));
  CHECK(!says_ready("STATUS=READY=1\n"));
  CHECK(!says_ready(""));
}

TEST_CASE("the container's socket: one mount and one variable, unless the configuration has its own") {
  oci::Spec spec;
  add_notify(spec, "/state/c/notify");
  CHECK(spec.mounts.empty());  // no process, nobody to speak
  spec.process = oci::Process{.env = {"A=1"}};
  add_notify(spec, "/state/c/notify");
  REQUIRE(spec.mounts.size() == 1);
  CHECK(spec.mounts.front().source == "/state/c/notify");
  CHECK(spec.process->env.back() == "NOTIFY_SOCKET=/run/notify/notify.sock");
  add_notify(spec, "/elsewhere");
  CHECK(spec.mounts.size() == 1);
}
