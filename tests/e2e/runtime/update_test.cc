// husk update on either cgroup version.
#include <algorithm>

#include "bench.h"
#include "oci-spec/parse_config.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string sleeper(Bench& bench) {
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) {
    spec.linux.resources.memory = oci::MemoryLimits{.limit = 64 << 20};
    spec.linux.resources.cpu = oci::CpuLimits{.quota = 50000, .period = 100000};
    spec.linux.resources.pids_limit = 50;
  });
  const auto run = bench.husk({"run", "-d", "-b", bundle, bench.id()});
  REQUIRE_MESSAGE(run.status.code == 0, run.err);
  return bench.id();
}

// The value of a limit as the container's cgroup has it: v2's name, v1's place.
std::string limit(Bench& bench, Hierarchy hierarchy, const std::string& v2, const std::string& v1) {
  const auto path = *bench.state(bench.id()).find("cgroupPath")->as_string();
  const auto mount = std::string{"unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && cat /sys/fs/cgroup"};
  const auto controller = v1.substr(0, v1.find('/'));
  const auto shown = hierarchy == Hierarchy::unified
                         ? bench.shell(mount + path + "/" + v2 + "'")
                         : bench.shell("cat /sys/fs/cgroup/" + controller + path + v1.substr(v1.find('/')));
  REQUIRE_MESSAGE(shown.status.code == 0, shown.err);
  return std::string{trim(shown.out)};
}

oci::Resources saved(Bench& bench) {
  const auto text = read_file(bench.root() + "/" + bench.id() + "/config.json");
  REQUIRE_OK(text);
  const auto spec = oci::parse_config(text.value());
  REQUIRE_OK(spec);
  return spec.value().linux.resources;
}

// Controllers that this machine keeps in v1 cannot be used in a cgroup2 mount.
bool has_v2_controllers() {
  const auto shown = run({.path = "/bin/sh", .arguments = {"sh", "-c", "unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && cat /sys/fs/cgroup/cgroup.controllers'"}});
  return shown.has_value() && contains(shown.value().out, "memory");
}

std::vector<Hierarchy> usable() {
  std::vector<Hierarchy> found;
  const bool v1 = path_exists("/sys/fs/cgroup/memory");
  if (v1) found.push_back(Hierarchy::native);
  if (has_v2_controllers()) found.push_back(Hierarchy::unified);
  return found;
}

}  // namespace

TEST_CASE("update by flags: the kernel and the saved config.json have the new limits, the others stay") {
  REQUIRE_E2E();
  REQUIRE(!usable().empty());
  for (const auto hierarchy : usable()) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto id = sleeper(bench);
    const auto done = bench.husk({"update", id, "--memory", "96M", "--cpu-quota=20000", "-pids-limit", "33", "--cpuset-cpus", "0"});
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    CHECK(done.out.empty());
    CHECK(limit(bench, hierarchy, "memory.max", "memory/memory.limit_in_bytes") == std::to_string(96 << 20));
    CHECK(limit(bench, hierarchy, "pids.max", "pids/pids.max") == "33");
    const auto quota = limit(bench, hierarchy, "cpu.max", "cpu/cpu.cfs_quota_us");
    CHECK(quota == (hierarchy == Hierarchy::unified ? "20000 100000" : "20000"));
    const auto now = saved(bench);
    CHECK(now.memory->limit == 96 << 20);
    CHECK(now.cpu->quota == 20000);
    CHECK(now.cpu->period == 100000);
    CHECK(now.cpu->cpus == "0");
    CHECK(now.pids_limit == 33);
    CHECK(!path_exists(bench.root() + "/" + id + "/config.json.next"));
  }
}

TEST_CASE("update: each flag reaches the field of its own name") {
  REQUIRE_E2E();
  REQUIRE(!usable().empty());
  struct Row {
    std::vector<std::string> flags;
    std::int64_t value;
    std::function<std::int64_t(const oci::Resources&)> field;
  };
  const std::vector<Row> rows{
      {{"--memory-reservation", "32M"}, 32 << 20, [](const auto& now) { return now.memory->reservation.value_or(0); }},
      {{"--memory", "64M", "--memory-swap", "160M"}, 160 << 20, [](const auto& now) { return now.memory->swap.value_or(0); }},
      {{"--cpu-period", "60000"}, 60000, [](const auto& now) { return static_cast<std::int64_t>(now.cpu->period.value_or(0)); }},
      {{"--cpu-burst", "2000"}, 2000, [](const auto& now) { return static_cast<std::int64_t>(now.cpu->burst.value_or(0)); }},
      {{"--cpu-share", "512"}, 512, [](const auto& now) { return static_cast<std::int64_t>(now.cpu->shares.value_or(0)); }},
      {{"--cpuset-mems", "0"}, 1, [](const auto& now) { return static_cast<std::int64_t>(now.cpu->mems == "0"); }}};
  for (const auto hierarchy : usable()) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto id = sleeper(bench);
    for (const auto& row : rows) {
      CAPTURE(row.flags.front());
      auto words = std::vector<std::string>{"update", id};
      words.insert(words.end(), row.flags.begin(), row.flags.end());
      CHECK(row.field(saved(bench)) != row.value);
      const auto done = bench.husk(words);
      CHECK_MESSAGE(done.status.code == 0, done.err);
      CHECK(row.field(saved(bench)) == row.value);
    }
    const auto shares = limit(bench, hierarchy, "cpu.weight", "cpu/cpu.shares");
    CHECK(shares == (hierarchy == Hierarchy::unified ? "59" : "512"));
  }
}

// What the kernel itself says to a value: in a cgroup beside the container's.
class Asked {
 public:
  Asked(const std::string& parent, const std::string& file, const std::string& value) : directory_{parent + "/husk-test-" + random_hex(6)} {
    REQUIRE_OK(sys::mkdirat(AT_FDCWD, directory_, 0755));
    const auto written = write_existing(AT_FDCWD, directory_ + "/" + file, value);
    taken_ = written.has_value() && trim(read_file(directory_ + "/" + file).value()) == value;  // kernel memory: taken and left out
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  ~Asked() { (void)sys::unlinkat(AT_FDCWD, directory_, AT_REMOVEDIR); }
  bool taken() const { return taken_; }

 private:
  std::string directory_;
  bool taken_ = false;
};

TEST_CASE("update: a limit of cgroup version 1 is set where the kernel takes it; else one error names its file, and nothing has changed") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/memory")) HUSK_SKIP("needs the controllers of cgroup version 1");
  struct Row {
    std::string flag;
    std::string value;
    std::string file;
    std::string written;
  };
  for (const auto& row : {Row{"--memory-reservation", "32M", "memory/memory.soft_limit_in_bytes", "33554432"},
                          Row{"--kernel-memory", "32M", "memory/memory.kmem.limit_in_bytes", "33554432"},
                          Row{"--kernel-memory-tcp", "8M", "memory/memory.kmem.tcp.limit_in_bytes", "8388608"},
                          Row{"--cpu-rt-period", "500000", "cpu/cpu.rt_period_us", "500000"},
                          Row{"--cpu-rt-runtime", "1000", "cpu/cpu.rt_runtime_us", "1000"},
                          Row{"--blkio-weight", "500", "blkio/blkio.bfq.weight", "500"},
                          Row{"--pids-limit", "-1", "pids/pids.max", "max"}}) {
    CAPTURE(row.flag);
    Bench bench;
    const auto id = sleeper(bench);
    const auto slash = row.file.find('/');
    const auto parent = "/sys/fs/cgroup/" + row.file.substr(0, slash) + *bench.state(id).find("cgroupPath")->as_string();
    const Asked asked{parent.substr(0, parent.rfind('/')), row.file.substr(slash + 1), row.written};
    const auto config = [&] { return read_file(bench.root() + "/" + id + "/config.json").value(); };
    const auto before = config();
    const auto earlier = path_exists(parent + row.file.substr(slash)) ? limit(bench, Hierarchy::native, "", row.file) : "";
    // Beside a limit that is always taken, and goes back when the other is not.
    const auto done = bench.husk({"update", id, "--memory", "96M", row.flag, row.value});
    CHECK(done.status.code == (asked.taken() ? 0 : 1));
    CHECK(limit(bench, Hierarchy::native, "", "memory/memory.limit_in_bytes") == std::to_string((asked.taken() ? 96 : 64) << 20));
    if (asked.taken()) {
      CHECK_MESSAGE(done.err.empty(), done.err);
      CHECK(limit(bench, Hierarchy::native, "", row.file) == row.written);
      CHECK(config() != before);
    } else {
      CHECK(std::count(done.err.begin(), done.err.end(), '\n') == 1);
      CHECK_MESSAGE(contains(done.err, row.file.substr(slash + 1)), done.err);
      CHECK_MESSAGE(contains(done.err, "(hint: "), done.err);
      if (!earlier.empty()) CHECK(limit(bench, Hierarchy::native, "", row.file) == earlier);
      CHECK(config() == before);
    }
    CHECK(bench.husk({"delete", "-f", id}).status.code == 0);
  }
}

TEST_CASE("update --resources: a file, and - for standard input as containerd and CRI-O give it") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = sleeper(bench);
  const auto text = R"({"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":100663296},"cpu":{"shares":0,"quota":30000},"pids":{"limit":44}})";
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("r.json"), text));
  const auto file = bench.husk({"update", "-r", bench.path("r.json"), id});
  CHECK_MESSAGE(file.status.code == 0, file.err);
  CHECK(saved(bench).pids_limit == 44);
  CHECK(saved(bench).devices.empty());
  for (const std::string flag : {"--resources=-", "--resources -", "-resources=-", "-r -"}) {
    CAPTURE(flag);
    const auto number = std::to_string(60 + flag.size());
    const auto piped = bench.shell("echo '{\"pids\":{\"limit\":" + number + "}}' | husk update " + flag + " " + id);
    CHECK_MESSAGE(piped.status.code == 0, piped.err);
    CHECK(saved(bench).pids_limit == 60 + static_cast<std::int64_t>(flag.size()));
  }
  CHECK(saved(bench).cpu->quota == 30000);
  CHECK(bench.husk({"exec", id, "true"}).status.code == 0);
}

TEST_CASE("update --resources: another device list is put in force at once and kept; one that decides alike is no change") {
  REQUIRE_E2E();
  // Of a driver that is there, and that asks nobody for capabilities.
  const auto misc = read_file("/proc/misc");
  REQUIRE_OK(misc);
  const int minor = contains(misc.value(), "229 fuse") ? 229 : contains(misc.value(), "237 loop-control") ? 237 : 0;
  if (minor == 0) HUSK_SKIP("neither fuse nor loop-control is there to be opened");
  const auto rule = format_text(R"({{"allow":true,"type":"c","major":10,"minor":{},"access":"rw"}})", minor);
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [minor](oci::Spec& spec) {
      spec.linux.devices.push_back({.type = 'c', .path = "/dev/some", .major = 10, .minor = minor});
    });
    REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
    const auto opens = [&] { return bench.husk({"exec", bench.id(), "sh", "-c", ": </dev/some"}).status.code == 0; };
    const auto update = [&](const std::string& json) {
      REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("r.json"), json));
      const auto done = bench.husk({"update", "-r", bench.path("r.json"), bench.id()});
      CHECK_MESSAGE(done.status.code == 0, done.err);
    };
    CHECK_FALSE(opens());
    update(R"({"devices":[{"allow":false,"access":"rwm"},)" + rule + "]}");
    CHECK(opens());
    CHECK(saved(bench).devices.size() == 2);
    update(R"({"devices":[)" + rule + "]}");
    CHECK(saved(bench).devices.size() == 2);
    update("{}");
    CHECK(opens());
    update(R"({"devices":[{"allow":false,"access":"rwm"}]})");
    CHECK_FALSE(opens());
    CHECK(bench.husk({"delete", "--force", bench.id()}).status.code == 0);
  }
}

TEST_CASE("update changes everything or nothing") {
  REQUIRE_E2E();
  for (const auto hierarchy : usable()) {
    Bench bench{hierarchy};
    const auto id = sleeper(bench);
    // The last one is refused by the kernel: there is no such CPU.
    const auto done = bench.husk({"update", "--memory", "96M", "--pids-limit", "33", "--cpuset-cpus", "8190", id});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "update limits"), done.err);
    CHECK_MESSAGE(contains(done.err, "\"/linux/resources/cpu/cpus\": "), done.err);
    CHECK(limit(bench, hierarchy, "memory.max", "memory/memory.limit_in_bytes") == std::to_string(64 << 20));
    CHECK(limit(bench, hierarchy, "pids.max", "pids/pids.max") == "50");
    CHECK(saved(bench).pids_limit == 50);
    CHECK(!path_exists(bench.root() + "/" + id + "/config.json.next"));
  }
}

TEST_CASE("update: limits that it does not speak of stay as somebody has set them since") {
  REQUIRE_E2E();
  struct Row {
    std::string v2, v1, value;
    std::vector<std::string> flags;
  };
  for (const auto hierarchy : usable()) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto id = sleeper(bench);
    const auto path = *bench.state(id).find("cgroupPath")->as_string();
    for (const auto& row : {Row{"memory.max", "memory/memory.limit_in_bytes", "83886080", {"--memory-reservation", "16M"}},
                            Row{"cpu.max", "cpu/cpu.cfs_quota_us", "40000", {"--cpu-share", "512"}},
                            Row{"cpu.weight", "cpu/cpu.shares", "300", {"--cpu-quota", "30000"}}}) {
      CAPTURE(row.v2);
      const auto v1 = "/sys/fs/cgroup/" + row.v1.substr(0, row.v1.find('/')) + path + row.v1.substr(row.v1.find('/'));
      const auto set = hierarchy == Hierarchy::native ? "echo " + row.value + " >" + v1
                                                      : "unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup; echo " + row.value +
                                                            " >/sys/fs/cgroup" + path + "/" + row.v2 + "'";
      REQUIRE(bench.shell(set).status.code == 0);
      auto words = std::vector<std::string>{"update", id};
      words.insert(words.end(), row.flags.begin(), row.flags.end());
      const auto done = bench.husk(words);
      CHECK_MESSAGE(done.status.code == 0, done.err);
      CHECK(limit(bench, hierarchy, row.v2, row.v1).starts_with(row.value));
    }
  }
}

TEST_CASE("update refuses bad values by the name of the flag, and what is stopped or unknown") {
  REQUIRE_E2E();
  Bench bench;
  CHECK(contains(bench.husk({"update", "--memory", "1M", "nobody"}).err, "does not exist"));
  const auto id = sleeper(bench);
  struct Row {
    std::vector<std::string> flags;
    std::string text;
  };
  for (const auto& row : {Row{{"--memory", "x"}, "--memory \"x\""}, Row{{"--memory", "9999999999G"}, "--memory"},
                          Row{{"--memory", "-2"}, "--memory"}, Row{{"--memory", ""}, "--memory"}, Row{{"--cpu-period", "-1"}, "--cpu-period"},
                          Row{{"--cpu-quota", "1e3"}, "--cpu-quota"}, Row{{"--blkio-weight", "1001"}, "--blkio-weight"},
                          Row{{"--blkio-weight", "5"}, "blockIO/weight"}, Row{{"--cpu-idle", "2"}, "cpu/idle"},
                          Row{{"--l3-cache-schema", "L3:0=f"}, "no resctrl group"},
                          Row{{"--mem-bw-schema", "MB:0=1"}, "no resctrl group"}, Row{{"--mem-bw-schema", "MB:0=1", "--memory", "64M"}, "a command of their own"}, Row{{}, "requires an argument"},
                          Row{{"-r", "/nonexistent"}, "read resources"}, Row{{"-r", "/dev/null"}, "--resources"},
                          Row{{"-r", "/dev/null", "--memory", "1M"}, "exclude each other"}}) {
    CAPTURE(row.text);
    auto words = std::vector<std::string>{"update", id};
    words.insert(words.end(), row.flags.begin(), row.flags.end());
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
  }
  bench.husk({"kill", id, "9"});
  bench.shell("while husk state " + id + " | grep -q running; do :; done");
  CHECK(contains(bench.husk({"update", "--memory", "96M", id}).err, "container not running"));
}

TEST_CASE("update works on a created and on a paused container, and its limits bind") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("sleep 1000 & sleep 1000 & sleep 1000 & wait");
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  const auto created = bench.husk({"update", "--pids-limit", "2", bench.id()});
  CHECK_MESSAGE(created.status.code == 0, created.err);
  REQUIRE(bench.husk({"start", bench.id()}).status.code == 0);
  bench.shell("n=0; while [ \"$(husk ps -f json " + bench.id() + ")\" = '[]' ] && [ $n -lt 100 ]; do n=$((n+1)); done");
  const auto pids = oci::parse_json(bench.husk({"ps", "-f", "json", bench.id()}).out);
  REQUIRE_OK(pids);
  CHECK(pids.value().as_array()->size() <= 2);
  Bench other;
  const auto id = sleeper(other);
  REQUIRE(other.husk({"pause", id}).status.code == 0);
  CHECK(other.husk({"update", "--cpu-share", "200", id}).status.code == 0);
  CHECK(other.status(id) == "paused");
}

TEST_CASE("an update that is killed before it is written down can be done again, and delete leaves nothing") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto id = sleeper(bench);
  const auto killed = bench.husk({"update", "--pids-limit", "33", id}, {"HUSK_KILL_AT=update"});
  if (killed.status.code == 0) HUSK_SKIP("fault points exist in Debug builds only");
  CHECK(bench.status(id) == "running");
  CHECK(saved(bench).pids_limit == 50);
  const auto again = bench.husk({"update", "--pids-limit", "34", id});
  CHECK_MESSAGE(again.status.code == 0, again.err);
  CHECK(saved(bench).pids_limit == 34);
  CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
  CHECK_WORLD(bench, before);
}
