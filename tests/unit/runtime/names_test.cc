#include <linux/capability.h>
#include <signal.h>

#include "capabilities.h"
#include "exec.h"
#include "harness/harness.h"
#include "phase.h"
#include "signal_names.h"

using namespace husk;
using namespace husk::runtime;

TEST_CASE("kill takes signal names with and without SIG, in any case, and numbers") {
  struct Row {
    const char* text;
    int number;
  };
  for (const auto& row : {Row{"TERM", SIGTERM}, Row{"SIGTERM", SIGTERM}, Row{"sigkill", SIGKILL}, Row{"9", 9}, Row{"0", 0},
                          Row{"64", 64}, Row{"RTMIN", 34}, Row{"SIGRTMIN+3", 37}, Row{"RTMAX-1", 63}}) {
    CAPTURE(row.text);
    const auto parsed = parse_signal(row.text);
    REQUIRE_OK(parsed);
    CHECK(parsed.value() == row.number);
  }
}

TEST_CASE("kill refuses what is no signal") {
  for (const auto* text : {"", "SIG", "65", "-1", "9 ", "KILLX", "RTMIN+31", "RTMIN-1", "RTMAX+1", "1e1"}) {
    CAPTURE(text);
    CHECK(!parse_signal(text).has_value());
  }
}

TEST_CASE("CVE-2026-30892: exec --user takes whole numbers in range only") {
  const auto one = parse_user("1");
  REQUIRE_OK(one);
  CHECK(one.value().uid == 1);
  CHECK(!one.value().gid.has_value());
  const auto both = parse_user("1000:50");
  REQUIRE_OK(both);
  CHECK(both.value().uid == 1000);
  CHECK(both.value().gid == 50U);
  for (const auto* text : {"", ":", "1:", ":1", "abc", "1a", "-1", "+1", " 1", "0x1", "4294967295", "4294967296", "1:4294967295",
                           "1:2:3", "18446744073709551617"}) {
    CAPTURE(text);
    CHECK(!parse_user(text).has_value());
  }
}

TEST_CASE("capability names map to the kernel's numbers in both directions") {
  CHECK(find_capability("CAP_SYS_ADMIN") == CAP_SYS_ADMIN);
  CHECK(find_capability("net_raw") == CAP_NET_RAW);
  CHECK(!find_capability("CAP_NOPE").has_value());
  CHECK(capability_name(CAP_CHECKPOINT_RESTORE) == "CAP_CHECKPOINT_RESTORE");
  CHECK(capability_name(63) == "CAP_63");
  const auto names = capability_names();
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(find_capability(names[i]) == static_cast<int>(i));
}

TEST_CASE("config.md#linux-process: a capability that cannot be granted is left out, not an error") {
  CapSets sets{.bounding = cap_bit(1) | cap_bit(2), .effective = cap_bit(1) | cap_bit(2), .inheritable = 0,
               .permitted = cap_bit(1) | cap_bit(2), .ambient = 0};
  CHECK(restrict_to(sets, cap_bit(1)) == cap_bit(2));
  CHECK(sets.bounding == cap_bit(1));
  CHECK(sets.effective == cap_bit(1));
  CHECK(sets.permitted == cap_bit(1));
}

TEST_CASE("man 7 capabilities: an ambient capability needs to be permitted and inheritable") {
  CapSets sets{.bounding = cap_bit(5), .effective = cap_bit(5), .inheritable = 0, .permitted = cap_bit(5), .ambient = cap_bit(5)};
  CHECK(restrict_to(sets, ~CapMask{0}) == cap_bit(5));
  CHECK(sets.ambient == 0);
}

TEST_CASE("CVE-2022-27650: capabilities of exec --cap never become inheritable or ambient") {
  ExecOptions options{.id = ContainerId::parse("c").value()};
  options.args = {"true"};
  options.caps = {"CAP_NET_ADMIN"};
  oci::Spec spec;
  spec.process = oci::Process{.cwd = "/", .capabilities = oci::Capabilities{}};
  const auto process = merge_process(spec, options);
  REQUIRE_OK(process);
  CHECK(process.value().capabilities->bounding == options.caps);
  CHECK(process.value().capabilities->permitted == options.caps);
  CHECK(process.value().capabilities->inheritable.empty());
  CHECK(process.value().capabilities->ambient.empty());
}

TEST_CASE("exec flags are merged with the container's own process") {
  ExecOptions options{.id = ContainerId::parse("c").value()};
  options.args = {"id", "-u"};
  options.env = {"A=2", "C=3"};
  options.user = "7:8";
  options.cwd = "/tmp";
  options.additional_gids = {9};
  oci::Spec spec;
  spec.process = oci::Process{.terminal = true, .console_size = oci::ConsoleSize{.height = 1, .width = 1}, .args = {"sh"},
                              .env = {"A=1", "B=1"}, .cwd = "/"};
  const auto process = merge_process(spec, options);
  REQUIRE_OK(process);
  CHECK(process.value().args == options.args);
  CHECK(process.value().env == std::vector<std::string>{"A=2", "B=1", "C=3"});
  CHECK(process.value().user.uid == 7);
  CHECK(process.value().user.gid == 8);
  CHECK(process.value().user.additional_gids == std::vector<std::uint32_t>{9});
  CHECK(process.value().cwd == "/tmp");
  CHECK(!process.value().terminal);
  CHECK(!process.value().console_size.has_value());
}

TEST_CASE("exec --env refuses a text without a name or without a value") {
  for (const auto* text : {"A", "=x", ""}) {
    CAPTURE(text);
    ExecOptions options{.id = ContainerId::parse("c").value()};
    options.args = {"true"};
    options.env = {text};
    CHECK(!merge_process(oci::Spec{}, options).has_value());
  }
}

TEST_CASE("runtime.md#state: only the transitions of the specification exist") {
  CHECK(next(Phase::creating, Event::set_up) == Phase::created);
  CHECK(next(Phase::running, Event::pause) == Phase::paused);
  CHECK(next(Phase::paused, Event::resume) == Phase::running);
  CHECK(next(Phase::paused, Event::exit) == Phase::stopped);
  CHECK(!next(Phase::paused, Event::start).has_value());
  CHECK(!next(Phase::stopped, Event::resume).has_value());
}
