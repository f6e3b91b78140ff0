#include "frozen.h"
#include "oci-spec/parse_config.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("config-linux.md#intelrdt: where resctrl is not mounted, the field is refused by name and nothing is left") {
  REQUIRE_E2E();
  Bench bench;
  if (bench.shell("grep -q ' - resctrl ' /proc/self/mountinfo").status.code == 0) HUSK_SKIP("this host has resctrl");
  const auto before = bench.world();
  for (const auto& rdt : {oci::IntelRdt{}, oci::IntelRdt{.clos_id = "gold"}, oci::IntelRdt{.clos_id = "/", .enable_monitoring = true},
                          oci::IntelRdt{.l3_cache_schema = "L3:0=f", .mem_bw_schema = "MB:0=20"}}) {
    const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, [&](oci::Spec& spec) { spec.linux.intel_rdt = rdt; }), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "\"/linux/intelRdt\": resctrl is not mounted on this host (hint: "), done.err);
  }
  CHECK_WORLD(bench, before);
}

TEST_CASE("restore: linux.intelRdt counts there as at create, and is refused by name where resctrl is not mounted") {
  REQUIRE_CRIU();
  Bench bench;
  if (bench.shell("grep -q ' - resctrl ' /proc/self/mountinfo").status.code == 0) HUSK_SKIP("this host has resctrl");
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto config = counter.bundle + "/config.json";
  const auto text = read_file(config).value();
  auto spec = oci::parse_config(text);
  REQUIRE_OK(spec);
  spec.value().linux.intel_rdt = oci::IntelRdt{.l3_cache_schema = "L3:0=f"};
  REQUIRE_OK(write_atomically(AT_FDCWD, config, oci::write_config(spec.value())));
  const auto before = bench.world();
  CHECK_REFUSED(counter.restore(), "\"/linux/intelRdt\": resctrl is not mounted on this host (hint: ");
  CHECK_WORLD(bench, before);
  REQUIRE_OK(write_atomically(AT_FDCWD, config, text));
  REQUIRE_DONE(counter.restore());
}
