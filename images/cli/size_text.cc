#include "images/cli/size_text.h"

#include <array>

#include "base/clock.h"
#include "base/format.h"

namespace husk::images::cli {

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits{"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return format_text("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return value < 10 ? format_text("{:.2f} {}", value, kUnits[unit]) : format_text("{:.1f} {}", value, kUnits[unit]);
}

std::string age_text(const std::string& rfc3339_created) {
  const auto created = parse_rfc3339(rfc3339_created);
  if (!created.has_value()) return "";
  const auto seconds = (now_unix_ns() - created.value()) / 1'000'000'000;
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  constexpr std::array kUnits{Unit{31'536'000, "year"}, Unit{2'592'000, "month"}, Unit{86'400, "day"},
                              Unit{3'600, "hour"}, Unit{60, "minute"}};
  for (const auto& unit : kUnits) {
    const auto count = seconds / unit.seconds;
    if (count > 0) return format_text("{} {}{} ago", count, unit.name, count == 1 ? "" : "s");
  }
  return "just now";
}

}  // namespace husk::images::cli
