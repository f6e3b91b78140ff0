// Terminals from the container's own devpts, and /dev/console.
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("config-linux.md#default-devices: /dev/console is the terminal's slave, of the container's devpts") {
  for (const bool planned : {true, false}) {
    for (const bool read_only : {false, true}) {
      if (read_only && !planned) continue;  // a read-only /dev needs the place made in time
      CAPTURE(planned);
      CAPTURE(read_only);
      Bundle bundle;
      bundle.usual_mounts();
      if (read_only) bundle.spec.mounts[1].options.emplace_back("ro");
      bundle.spec.process = oci::Process{.terminal = planned};
      rootfs::Terminal pty;
      const auto failure = bundle.run(
          [&]() -> Status {
            const auto console = TRY(sys::fstatat(AT_FDCWD, "/dev/console", AT_SYMLINK_NOFOLLOW));
            const auto slave = TRY(sys::fstatat(AT_FDCWD, "/dev/pts/0", AT_SYMLINK_NOFOLLOW));
            EXPECT(S_ISCHR(console.st_mode) && major(console.st_rdev) == 136);
            EXPECT(console.st_rdev == slave.st_rdev);
            const auto fd = TRY(sys::openat(AT_FDCWD, "/dev/console", O_RDWR | O_NOCTTY));
            TRY(sys::write_all(fd.get(), "hello"));
            std::string text(5, '\0');
            const auto length = TRY(sys::read_some(pty.master.get(), text));
            EXPECT(length == 5);
            EXPECT_EQUAL(text, "hello");
            return ok();
          },
          [&](const rootfs::Applied& applied) -> Status {
            pty = TRY(rootfs::open_terminal(applied.root));
            return rootfs::bind_console(applied, pty.slave);
          });
      CHECK_MESSAGE(failure.empty(), failure);
    }
  }
}

TEST_CASE("a terminal works in a user namespace") {
  Bundle bundle;
  bundle.usual_mounts().user_namespace();
  bundle.spec.process = oci::Process{.terminal = true};
  const auto failure = bundle.run(
      [&]() -> Status {
        const auto fd = TRY(sys::openat(AT_FDCWD, "/dev/console", O_RDWR | O_NOCTTY));
        return sys::write_all(fd.get(), "hello");
      },
      [&](const rootfs::Applied& applied) -> Status {
        auto pty = TRY(rootfs::open_terminal(applied.root));
        TRY(rootfs::bind_console(applied, pty.slave));
        (void)pty.master.release();  // stays open for the step inside
        return ok();
      });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("a terminal without devpts is an error that says what is missing") {
  Bundle bundle;
  const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied& applied) -> Status {
    const auto pty = rootfs::open_terminal(applied.root);
    EXPECT(!pty.has_value());
    EXPECT(contains(pty.error().to_string(), "needs a mount of type devpts on /dev/pts"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("with a bound /dev the console covers the host's node there, and is not made when it is absent") {
  Bundle bundle;
  const auto dev = bundle.host_dir("hostdev");
  bundle.host_dir("hostdev/pts");
  bundle.bind(dev, "/dev", {"bind"});
  bundle.mount({.destination = "/dev/pts", .type = "devpts", .source = "devpts"});
  const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied& applied) -> Status {
    const auto pty = TRY(rootfs::open_terminal(applied.root));
    return rootfs::bind_console(applied, pty.slave);
  });
  CHECK_MESSAGE(failure.empty(), failure);
  CHECK(!path_exists(dev + "/console"));
}
