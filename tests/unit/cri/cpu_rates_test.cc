#include "cri/cpu_rates.h"

#include "harness/harness.h"

using husk::cri::CpuRates;

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
}

TEST_CASE("CPU rates: nanocores between two samples, none for the first") {
  CpuRates rates;
  CHECK(!rates.add("a", 0, 500).has_value());
  CHECK(rates.add("a", 2 * kSecond, 1'000'000'500) == 500'000'000);
  CHECK(rates.add("a", 3 * kSecond, 3'000'000'500) == 2'000'000'000);
  CHECK(!rates.add("b", 3 * kSecond, 7).has_value());
}

TEST_CASE("CPU rates: two questions within a second get the same answer") {
  CpuRates rates;
  (void)rates.add("a", 0, 0);
  CHECK(!rates.add("a", kSecond / 2, 400).has_value());
  CHECK(rates.add("a", kSecond, 1000) == 1000);
  CHECK(rates.add("a", kSecond + 5, 900'000) == 1000);
  CHECK(rates.add("a", 2 * kSecond, 3000) == 2000);
}

TEST_CASE("CPU rates: a counter that went back starts anew") {
  CpuRates rates;
  (void)rates.add("a", 0, 1000);
  CHECK(!rates.add("a", 2 * kSecond, 10).has_value());
  CHECK(rates.add("a", 3 * kSecond, 20) == 10);
}
