// Nanocores of CPU time: how much of a core was used since the sample before. No thread takes samples; who asks
// brings one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace husk::cri {

class CpuRates {
 public:
  // `used_ns`: CPU time so far of what `key` names. nullopt for the first sample; within a second of the last rate
  // that rate again, for the shorter the time, the more one tick counts.
  std::optional<std::uint64_t> add(const std::string& key, std::int64_t now_ns, std::uint64_t used_ns);

 private:
  struct Sample {
    std::int64_t at_ns = 0;
    std::uint64_t used_ns = 0;
    std::optional<std::uint64_t> rate;
  };
  std::mutex lock_;
  std::map<std::string, Sample> samples_;
};

}  // namespace husk::cri
