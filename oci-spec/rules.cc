#include "oci-spec/rules.h"

#include <algorithm>

namespace husk::oci {
namespace {

constexpr std::uint32_t kHighestCpu = 1U << 20U;  // far beyond CONFIG_NR_CPUS and MAX_NUMNODES

bool is_cpu_range(std::string_view part) {
  const auto dash = part.find('-');
  const auto first = parse_uint32(part.substr(0, dash));
  if (!first.has_value()) return false;
  const auto last = dash == std::string_view::npos ? first : parse_uint32(part.substr(dash + 1));
  return last.has_value() && first.value() <= last.value() && last.value() < kHighestCpu;
}

struct Range {
  std::uint64_t first;
  std::uint64_t end;
};

bool overlap(std::vector<Range> ranges) {
  std::ranges::sort(ranges, {}, &Range::first);
  for (std::size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].end) return true;
  return false;
}

}  // namespace

Status check_cpu_list(std::string_view pointer, std::string_view text) {
  if (text.empty()) return ok();
  for (const auto part : split(text, ','))
    if (!is_cpu_range(part)) return rule_error(pointer, format_text("{} is not a list like \"0-3,7\"", quote(text)));
  return ok();
}

Status check_absolute(std::string_view pointer, std::string_view path) {
  if (path.starts_with('/')) return ok();
  return rule_error(pointer, format_text("{} must be an absolute path", quote(path)));
}

Status check_one_line(std::string_view pointer, std::string_view text) {
  if (text.find('\n') == std::string_view::npos) return ok();
  return rule_error(pointer, format_text("{} must not contain a newline", quote(text)));
}

Status check_id_mappings(std::string_view pointer, const std::vector<IdMapping>& mappings) {
  constexpr std::uint64_t kIds = 1ULL << 32U;
  std::vector<Range> inside;
  std::vector<Range> outside;
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const auto& row = mappings[i];
    inside.push_back({.first = row.container_id, .end = std::uint64_t{row.container_id} + row.size});
    outside.push_back({.first = row.host_id, .end = std::uint64_t{row.host_id} + row.size});
    const auto place = format_text("{}/{}", pointer, i);
    if (row.size == 0) return rule_error(place, "a mapping of size 0 maps nothing");
    if (inside.back().end > kIds || outside.back().end > kIds)
      return rule_error(place, format_text("{} ids do not fit below 2^32", row.size));
  }
  if (overlap(std::move(inside))) return rule_error(pointer, "a container id is mapped twice");
  if (overlap(std::move(outside))) return rule_error(pointer, "a host id is mapped twice");
  return ok();
}

}  // namespace husk::oci
