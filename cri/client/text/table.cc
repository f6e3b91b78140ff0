#include "cri/client/text/table.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/format.h"

namespace husk::pod {
namespace {

std::string clean(std::string_view cell) {
  std::string out{cell};
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out.empty() ? "-" : out;
}

std::size_t width_of(std::string_view cell) {
  std::size_t width = 0;
  for (const char c : cell)
    if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) ++width;
  return width;
}

}  // namespace

std::string format_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines{header};
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const auto& cell : row) line.push_back(clean(cell));
  }
  std::vector<std::size_t> widths(header.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  std::string out;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size() && i < widths.size(); ++i) {
      out += line[i];
      if (i + 1 < line.size()) out.append(widths[i] + 2 - width_of(line[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return format_text("{} B", bytes);
  return format_text("{:.{}f} {}", value, value < 10 ? 2 : 1, units.at(unit));
}

std::string format_age(std::int64_t then_ns, std::int64_t now_ns) {
  if (then_ns <= 0) return "-";
  const std::int64_t seconds = std::max<std::int64_t>(0, now_ns - then_ns) / 1'000'000'000;
  if (seconds < 120) return format_text("{} s", seconds);
  if (seconds < 120 * 60) return format_text("{} min", seconds / 60);
  if (seconds < 48 * 3600) return format_text("{} h", seconds / 3600);
  return format_text("{} days", seconds / 86400);
}

std::string format_cpu(std::uint64_t nanoseconds) {
  return format_text("{:.2f} s", static_cast<double>(nanoseconds) / 1e9);
}

std::string short_id(const std::string& id) { return id.substr(0, 13); }

}  // namespace husk::pod
