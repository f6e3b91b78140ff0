#include "cri/cpu_rates.h"

namespace husk::cri {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kForgotten = 600 * kSecond;  // nobody asks for what has gone

}  // namespace

std::optional<std::uint64_t> CpuRates::add(const std::string& key, std::int64_t now_ns, std::uint64_t used_ns) {
  const std::lock_guard guard{lock_};
  const auto found = samples_.find(key);
  if (found == samples_.end()) {
    std::erase_if(samples_, [now_ns](const auto& entry) { return now_ns - entry.second.at_ns > kForgotten; });
    samples_[key] = {.at_ns = now_ns, .used_ns = used_ns, .rate = std::nullopt};
    return std::nullopt;
  }
  auto& sample = found->second;
  const auto elapsed = now_ns - sample.at_ns;
  if (used_ns < sample.used_ns) {  // another cgroup of this name
    sample = {.at_ns = now_ns, .used_ns = used_ns, .rate = std::nullopt};
  } else if (elapsed >= kSecond) {
    const auto rate = static_cast<double>(used_ns - sample.used_ns) * kSecond / static_cast<double>(elapsed);
    sample = {.at_ns = now_ns, .used_ns = used_ns, .rate = static_cast<std::uint64_t>(rate)};
  }
  return sample.rate;
}

}  // namespace husk::cri
