#include "cgroups/conversion.h"

#include <cmath>

namespace husk::cgroups {

std::uint64_t cpu_weight_of_shares(std::uint64_t shares) {
  constexpr std::uint64_t kLeastShares = 2;
  constexpr std::uint64_t kMostShares = 262144;
  constexpr double kRounding = 1e-9;  // 1024 must give 100, not ceil(100.0000000000001)
  if (shares == 0) return 0;
  if (shares <= kLeastShares) return 1;
  if (shares >= kMostShares) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
  return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent) - kRounding));
}

std::uint64_t io_weight_of_blkio(std::uint64_t weight) {
  if (weight <= 10) return 1;
  return 1 + (weight - 10) * 9999 / 990;
}

std::string max_or_number(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

}  // namespace husk::cgroups
