#include "resctrl.h"

#include "base/file.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::runtime;
using husk::test::TempDir;

namespace {

using Lines = std::vector<std::string>;

// A plain directory in the place of resctrl: groups that are there have their files; a new one gets none, so that
// what comes after its mkdir fails.
struct Fake {
  explicit Fake() { add_group("", "    L3:0=fffff;1=fffff\n    MB:0= 100;1= 100\n"); }
  void add_group(const std::string& name, const std::string& schemata) const {
    const auto path = dir / name;
    if (!name.empty()) REQUIRE_OK(sys::mkdirat(AT_FDCWD, path, 0755));
    REQUIRE_OK(sys::mkdirat(AT_FDCWD, path + "/mon_groups", 0755));
    REQUIRE_OK(write_atomically(AT_FDCWD, path + "/schemata", schemata));
    REQUIRE_OK(write_atomically(AT_FDCWD, path + "/tasks", ""));
  }
  bool has(const std::string& name) const { return sys::fstatat(AT_FDCWD, dir / name, 0).has_value(); }
  std::string text(const std::string& name) const { return read_file(dir / name).value(); }
  Resctrl resctrl() const { return Resctrl{RootDir::open(dir / "").value()}; }
  TempDir dir;
};

std::string why_not(const Resctrl& resctrl, const RdtPlan& plan) {
  const auto done = resctrl.check(plan);
  return done.has_value() ? "" : done.error().to_string();
}

}  // namespace

TEST_CASE("config-linux.md#intelrdt: lines of schemata, in the order that counts; MB: lines of l3CacheSchema are left out") {
  CHECK(plan_rdt({.clos_id = "gold", .schemata = {"L2:0=f"}, .l3_cache_schema = "L3:0=7f0\nMB:0=10", .mem_bw_schema = "MB:0=20"}, "c").lines ==
        Lines{"L3:0=7f0", "MB:0=20", "L2:0=f"});
  CHECK(plan_rdt({.l3_cache_schema = "MB:0=10\nL3:1=f"}, "c").lines == Lines{"L3:1=f"});
  CHECK(plan_rdt({}, "c").lines.empty());
}

TEST_CASE("config-linux.md#intelrdt: which group, who makes it, and what goes with the container") {
  const auto own = plan_rdt({}, "c");
  CHECK(own.record.group == "c");
  CHECK(own.record.own_group);
  CHECK(own.may_make);
  CHECK(own.record.monitor.empty());
  const auto named = plan_rdt({.clos_id = "gold", .enable_monitoring = true}, "c");
  CHECK(named.record.group == "gold");
  CHECK(!named.record.own_group);
  CHECK(!named.may_make);
  CHECK(named.record.monitor == "gold/mon_groups/c");
  CHECK(plan_rdt({.clos_id = "gold", .mem_bw_schema = "MB:0=20"}, "c").may_make);
  CHECK(plan_rdt({.clos_id = "/", .enable_cmt = true}, "c").record.monitor == "./mon_groups/c");
  CHECK(plan_rdt({.clos_id = "/", .enable_mbm = true}, "c").record.group == ".");
}

TEST_CASE("schemata are compared by their values: padding, spaces and domains that are left out do not matter") {
  const std::string now = "    L3:0=00fff;1=fffff\n    MB:0=  20;1= 100\n";
  CHECK(schemata_match(now, {"L3:0=fff;1=FFFFF", "MB:0=20"}));
  CHECK(schemata_match(now, {"L3:0=1", "L3:0=fff"}));
  CHECK(!schemata_match(now, {"L3:0=ff"}));
  CHECK(!schemata_match(now, {"MB:0=20;2=10"}));
  CHECK(!schemata_match(now, {"L2:0=f"}));
  CHECK(schemata_match(now, {}));
}

TEST_CASE("config-linux.md#intelrdt: a group that exists must say the same, one without schemata must exist, one of our name must not") {
  const Fake fake;
  fake.add_group("gold", "L3:0=00fff;1=fffff\n");
  fake.add_group("c", "L3:0=00fff;1=fffff\n");
  const auto resctrl = fake.resctrl();
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "gold"}, "x")).empty());
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "gold", .l3_cache_schema = "L3:0=fff"}, "x")).empty());
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "/", .l3_cache_schema = "L3:0=fffff"}, "x")).empty());
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "new", .l3_cache_schema = "L3:0=1"}, "x")).empty());
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "gold", .l3_cache_schema = "L3:0=1"}, "x")).starts_with("\"/linux/intelRdt/closID\": the resctrl group \"gold\" has another schemata"));
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "/", .schemata = {"MB:0=1"}}, "x")).find("another schemata") != std::string::npos);
  CHECK(why_not(resctrl, plan_rdt({.clos_id = "none"}, "x")).find("there is no resctrl group \"none\"") != std::string::npos);
  CHECK(why_not(resctrl, plan_rdt({}, "c")).find("exists already") != std::string::npos);
  CHECK(fake.text("gold/schemata") == "L3:0=00fff;1=fffff\n");
}

TEST_CASE("config-linux.md#intelrdt: joining writes the pid to the group and its monitoring group; removing takes only what is ours") {
  const Fake fake;
  fake.add_group("gold", "L3:0=fff\n");
  const auto resctrl = fake.resctrl();
  const auto plan = plan_rdt({.clos_id = "gold", .enable_monitoring = true}, "c");
  const auto made = resctrl.make(plan);
  REQUIRE_OK(made);
  CHECK(!made.value());
  REQUIRE(fake.has("gold/mon_groups/c"));
  CHECK(!resctrl.join(plan.record, 42).has_value());  // the fake has no "tasks" there
  CHECK(fake.text("gold/tasks") == "42\n");
  REQUIRE_OK(resctrl.remove(plan.record));
  CHECK(!fake.has("gold/mon_groups/c"));
  CHECK(fake.has("gold"));
  REQUIRE_OK(resctrl.remove(plan.record));
}

TEST_CASE("a resctrl group whose schemata cannot be written is taken away again") {
  const Fake fake;
  REQUIRE_OK(sys::mkdirat(AT_FDCWD, fake.dir / "info", 0755));
  REQUIRE_OK(write_atomically(AT_FDCWD, fake.dir / "info/last_cmd_status", "Mask out of range\n"));
  const auto done = fake.resctrl().make(plan_rdt({.clos_id = "new", .l3_cache_schema = "L3:0=fffffff"}, "c"));
  REQUIRE(!done.has_value());
  CHECK(done.error().hint_text() == "resctrl says: Mask out of range");
  CHECK(!fake.has("new"));
}

TEST_CASE("a group of one's own is made and removed; a link in the place of a group is not followed") {
  const Fake fake;
  const auto resctrl = fake.resctrl();
  const auto plan = plan_rdt({}, "c");
  const auto made = resctrl.make(plan);
  REQUIRE_OK(made);
  CHECK(made.value());
  CHECK(fake.has("c"));
  REQUIRE_OK(resctrl.remove(plan.record));
  CHECK(!fake.has("c"));
  REQUIRE_OK(sys::symlinkat("/etc", AT_FDCWD, fake.dir / "link"));
  CHECK(!resctrl.join(plan_rdt({.clos_id = "link"}, "c").record, 42).has_value());
}

TEST_CASE("the record keeps what must be removed, so that a husk that was killed loses nothing") {
  Record record{.id = "c", .bundle = "/b", .rootfs = "/r"};
  record.rdt = {.group = "gold", .own_group = false, .monitor = "gold/mon_groups/c"};
  const auto read = parse_record(write_record(record));
  REQUIRE_OK(read);
  CHECK(read.value().rdt.group == "gold");
  CHECK(!read.value().rdt.own_group);
  CHECK(read.value().rdt.monitor == "gold/mon_groups/c");
  record.rdt = {};
  CHECK(write_record(record).find("rdt") == std::string::npos);
}

TEST_CASE("events: intel_rdt has what the processor can, the container's values beside the root's, and what is measured") {
  const Fake fake;
  fake.add_group("c", "    L3:0=7f0;1=1f\n    MB:0= 20;1=100\n");
  for (const auto* name : {"info", "info/L3", "info/MB", "c/mon_data", "c/mon_data/mon_L3_01", "c/mon_data/mon_L3_00", "c/mon_data/other"})
    REQUIRE_OK(sys::mkdirat(AT_FDCWD, fake.dir / name, 0755));
  const std::pair<const char*, const char*> files[] = {{"info/L3/cbm_mask", "fffff\n"}, {"info/L3/min_cbm_bits", "1\n"}, {"info/L3/num_closids", "16\n"},
      {"info/MB/bandwidth_gran", "10\n"}, {"info/MB/delay_linear", "1\n"}, {"info/MB/min_bandwidth", "10\n"}, {"info/MB/num_closids", "8\n"},
      {"c/mon_data/mon_L3_00/mbm_total_bytes", "200\n"}, {"c/mon_data/mon_L3_00/mbm_local_bytes", "100\n"}, {"c/mon_data/mon_L3_00/llc_occupancy", "300\n"},
      {"c/mon_data/mon_L3_01/mbm_total_bytes", "Unavailable\n"}, {"c/mon_data/mon_L3_01/llc_occupancy", "4\n"}};
  for (const auto& [name, text] : files) REQUIRE_OK(write_atomically(AT_FDCWD, fake.dir / name, text));
  CHECK(fake.resctrl().statistics({.group = "c"}).dump() ==
        R"({"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"l3_cache_schema_root":"L3:0=fffff;1=fffff",)"
        R"("l3_cache_schema":"L3:0=7f0;1=1f","mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},)"
        R"("mem_bw_schema_root":"MB:0= 100;1= 100","mem_bw_schema":"MB:0= 20;1=100",)"
        R"("mbm_stats":[{"mbm_total_bytes":200,"mbm_local_bytes":100}],"cmt_stats":[{"llc_occupancy":300},{"llc_occupancy":4}]})");
  // A group that is gone, and a processor without the one or the other, leave members out.
  CHECK(fake.resctrl().statistics({.group = "gone"}).find("l3_cache_schema") == nullptr);
  CHECK(rdt_statistics({}).dump() == "{}");
}
