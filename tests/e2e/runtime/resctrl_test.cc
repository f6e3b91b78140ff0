#include "bench.h"

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
