#include "images/platform.h"

#include <sys/utsname.h>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

// "aarch64" → arm64, and the variants that mean the base line → "".
Platform normalised(Platform platform) {
  auto& [os, architecture, variant] = platform;
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "i386" || architecture == "i686") architecture = "386";
  if (architecture == "armhf") {
    architecture = "arm";
    variant = "v7";
  }
  if (architecture == "armel") {
    architecture = "arm";
    variant = "v6";
  }
  if (architecture == "arm" && variant.empty()) variant = "v7";
  if (architecture == "arm64" && variant == "v8") variant.clear();
  if (architecture == "amd64" && variant == "v1") variant.clear();
  return platform;
}

// "v3" → 3; the base line "" → `base`; anything else → -1.
int level(const std::string& variant, int base) {
  if (variant.empty()) return base;
  if (!variant.starts_with('v')) return -1;
  const auto number = parse_uint32(std::string_view{variant}.substr(1));
  return number.has_value() && number.value() < 100 ? static_cast<int>(number.value()) : -1;
}

int base_level(const std::string& architecture) {
  if (architecture == "arm") return 7;
  return architecture == "arm64" ? 8 : 1;
}

#if defined(__x86_64__)
std::string cpu_variant() {
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("popcnt") != 0;
  const bool v3 = v2 && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0 &&
                  __builtin_cpu_supports("fma") != 0;
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                  __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
                  __builtin_cpu_supports("avx512vl") != 0;
  return v4 ? "v4" : v3 ? "v3" : v2 ? "v2" : "";
}
#else
std::string cpu_variant() { return ""; }
#endif

}  // namespace

Result<Platform> parse_platform(const std::string& text) {
  const auto parts = split(text, '/');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty())
    return Error{Kind::invalid, format_text("platform {} is not os/architecture[/variant]", quote(text))};
  return normalised({.os = std::string{parts[0]},
                     .architecture = std::string{parts[1]},
                     .variant = parts.size() == 3 ? std::string{parts[2]} : std::string{}});
}

Platform host_platform() {
  utsname names{};
  require(::uname(&names) == 0, "uname failed");
  auto platform = normalised({.os = "linux", .architecture = names.machine, .variant = {}});
  if (platform.architecture == "amd64") platform.variant = cpu_variant();
  return platform;
}

int platform_score(const Platform& wanted_raw, const Platform& offered_raw) {
  const auto wanted = normalised(wanted_raw);
  const auto offered = normalised(offered_raw);
  if (wanted.os != offered.os || wanted.architecture != offered.architecture) return -1;
  const int base = base_level(wanted.architecture);
  const int have = level(wanted.variant, base);
  const int asked = level(offered.variant, base);
  if (have < 0 || asked < 0) return wanted.variant == offered.variant ? 0 : -1;
  return asked <= have ? asked : -1;
}

}  // namespace husk::images
