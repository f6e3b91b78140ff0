#include "rootless.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"

using namespace husk;
using namespace husk::runtime;

namespace {

// Runs `check` in a user namespace of its own, where even root has none of the host's rights.
int in_user_namespace(bool (*check)()) {
  const auto child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) != 0 ? 77 : check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("state of a user namespace is kept below XDG_RUNTIME_DIR: /run/husk is the host's") {
  ::setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
  const auto code = in_user_namespace([] { return default_state_root() == "/run/user/1/husk"; });
  const auto own = default_state_root();
  ::setenv("XDG_RUNTIME_DIR", "relative", 1);
  const auto relative = in_user_namespace([] { return default_state_root() == "/run/husk"; });
  ::unsetenv("XDG_RUNTIME_DIR");
  if (code == 77) HUSK_SKIP("this machine makes no user namespaces");
  CHECK(code == 0);
  CHECK(relative == 0);
  CHECK(own == (is_rootless() ? "/run/user/1/husk" : "/run/husk"));
}

TEST_CASE("a container can do without a cgroup when rootless, with no path and no limit asked for") {
  const auto code = in_user_namespace([] {
    const cgroups::Plan none;
    cgroups::Plan limited;
    limited.files.emplace_back();
    return can_do_without_cgroup(none, "") && !can_do_without_cgroup(none, "/named") && !can_do_without_cgroup(limited, "");
  });
  if (code == 77) HUSK_SKIP("this machine makes no user namespaces");
  CHECK(code == 0);
  CHECK(can_do_without_cgroup(cgroups::Plan{}, "") == is_rootless());
}
