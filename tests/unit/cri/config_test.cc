#include <functional>

#include "cri/config.h"
#include "harness/harness.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT

namespace {

std::string error_of(std::string_view text) {
  const auto config = parse_config(text, "huskd.toml");
  return config.has_value() ? "" : config.error().to_string();
}

}  // namespace

TEST_CASE("an empty file means the defaults, and they are valid") {
  const auto config = parse_config("", "huskd.toml");
  REQUIRE_OK(config);
  CHECK_OK(check_config(config.value()));
  CHECK(config.value().socket_path() == "/run/husk/huskd.sock");
}

TEST_CASE("every key is read") {
  const auto config = parse_config(R"(
root = "/r"
state = "/s"
listen = "unix:///x.sock"
max_threads = 9
[log]
level = "debug"
format = "json"
file = "/l"
[runtime]
husk = "/h"
monitor = "/m"
pause = "/p"
cgroup_driver = "systemd"
cgroup_parent = "/c"
scope_prefix = "cri-husk"
request_timeout_seconds = 5
pids_limit = 6
shm_bytes = 7
create_missing_mount_sources = false
unprivileged_ports = false
unprivileged_ping = false
seccomp_profile = "/sec"
capabilities = ["CHOWN"]
rlimits = ["RLIMIT_NOFILE=1024:4096"]
[network]
bridge = "b"
subnet = "10.1.0.0/16"
table = "t"
[images]
registries_conf = "/rc"
registries_conf_dir = "/rd"
certs_dirs = ["/cd"]
pinned = ["busybox"]
)",
                                   "huskd.toml");
  REQUIRE_OK(config);
  const auto& value = config.value();
  CHECK_OK(check_config(value));
  CHECK(value.root == "/r");
  CHECK(value.max_threads == 9);
  CHECK(value.log_form == log::Form::json);
  CHECK(value.runtime.shm_bytes == 7);
  CHECK_FALSE(value.runtime.unprivileged_ping);
  REQUIRE(value.runtime.rlimits.size() == 1);
  CHECK(value.runtime.rlimits[0].hard == 4096);
  CHECK(value.network.subnet == "10.1.0.0/16");
  CHECK(value.images.pinned == std::vector<std::string>{"busybox"});
}

TEST_CASE("what is wrong is named with file, line and column") {
  struct Row {
    const char* text;
    const char* expected;
  };
  for (const auto& row : {Row{"\nrot = 1\n", "huskd.toml:2:"}, Row{"root = 1", "\"root\" must be a string"}, Row{"[runtime]\n\nhush = \"\"", "huskd.toml:3:"},
                          Row{"[nework]\nbridge = \"b\"", "\"nework\" is not a key"}, Row{"runtime = 3", "\"runtime\" must be a table"},
                          Row{"max_threads = -1", "must not be negative"}, Row{"[log]\nlevel = \"loud\"", "must be debug"}, Row{"root = ", "huskd.toml:1:"},
                          Row{"[images]\npinned = [1]", "array of strings"}, Row{"[runtime]\nrlimits = [\"NOFILE=1:2\"]", "must look like"},
                          Row{"[runtime]\nrlimits = [\"RLIMIT_NOFILE=3:2\"]", "the first not above"}, Row{"root = \"/a\"\nroot = \"/b\"", "huskd.toml:2:"}}) {
    CAPTURE(row.text);
    CAPTURE(error_of(row.text));
    CHECK(error_of(row.text).find(row.expected) != std::string::npos);
  }
  CHECK(error_of("rot = 1").find("root, state, listen") != std::string::npos);
}

TEST_CASE("values that cannot work are refused before anything starts") {
  const std::vector<std::function<void(Config&)>> spoils{
      [](Config& c) { c.root = "relative"; },       [](Config& c) { c.state.clear(); },
      [](Config& c) { c.listen = "tcp://0:1"; },    [](Config& c) { c.listen = "unix://relative"; },
      [](Config& c) { c.max_threads = 1; },         [](Config& c) { c.listen = "unix:///" + std::string(108, 'x'); },
      [](Config& c) { c.runtime.husk = "husk"; },   [](Config& c) { c.runtime.capabilities = {"FLY"}; },
      [](Config& c) { c.runtime.cgroup_parent = "husk"; }, [](Config& c) { c.runtime.cgroup_driver = "runc"; },
      [](Config& c) { c.runtime.scope_prefix = "a/b"; }, [](Config& c) { c.runtime.request_timeout_seconds = 0; }};
  for (const auto& spoil : spoils) {
    Config config;
    spoil(config);
    CHECK_FALSE(check_config(config).has_value());
  }
}

TEST_CASE("man/huskd.toml.5 documents every key, and no other") {
  const auto page = read_file(husk::test::source_dir() + "/man/huskd.toml.5");
  REQUIRE_OK(page);
  for (const auto* table : {"", "log", "runtime", "network", "images"}) {
    const auto text = *table == '\0' ? std::string{"nothing = 1"} : format_text("[{}]\nnothing = 1", table);
    const auto hint = parse_config(text, "f").error().hint_text();
    for (const auto key : split(std::string_view{hint}.substr(hint.find(':') + 1), ',')) {
      if (trim(key).starts_with('[')) continue;
      CAPTURE(key);
      CHECK(page.value().find(format_text(".BR {} ", trim(key))) != std::string::npos);
    }
  }
}
