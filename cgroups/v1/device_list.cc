#include "cgroups/v1/device_list.h"

#include <optional>
#include <string>

#include "base/format.h"
#include "cgroups/device_rules.h"

namespace husk::cgroups::v1 {
namespace {

std::string number_text(const std::optional<std::int64_t>& number) {
  return number.value_or(-1) < 0 ? "*" : std::to_string(*number);
}

std::string access_text(unsigned bits) {
  std::string text;
  if ((bits & kMayRead) != 0) text += 'r';
  if ((bits & kMayWrite) != 0) text += 'w';
  if ((bits & kMayMknod) != 0) text += 'm';
  return text;
}

ControlFile line(const oci::DeviceRule& rule, char type) {
  return {rule.allow ? "devices/devices.allow" : "devices/devices.deny",
          format_text("{} {}:{} {}", type, number_text(rule.major), number_text(rule.minor),
                      access_text(access_bits(rule.access)))};
}

// `rule` takes back part of what `earlier` gave, without being its exact opposite.
bool makes_hole(const oci::DeviceRule& rule, const oci::DeviceRule& earlier) {
  if (rule.allow == earlier.allow || !can_overlap(rule, earlier)) return false;
  if ((access_bits(rule.access) & access_bits(earlier.access)) == 0) return false;
  return !(covers_devices(rule, earlier) && covers_devices(earlier, rule));
}

}  // namespace

Result<std::vector<ControlFile>> device_files(const std::vector<oci::DeviceRule>& rules) {
  std::vector<ControlFile> files;
  const auto reduced = reduce_rules(rules);
  const auto& base = reduced.front();
  if (reduced.size() == 1 && base.allow) return files;  // a new cgroup has what its parent has
  files.push_back({base.allow ? "devices/devices.allow" : "devices/devices.deny", "a"});
  for (std::size_t i = 1; i < reduced.size(); ++i) {
    const auto& rule = reduced[i];
    for (std::size_t j = 1; j < i; ++j)
      if (makes_hole(rule, reduced[j]))
        return Error{Kind::unsupported,
                     format_text("\"/linux/resources/devices\": cgroup v1 cannot except \"{}\" from the earlier \"{}\"",
                                 line(rule, rule.type).value, line(reduced[j], reduced[j].type).value)}
            .hint("list the devices one by one, or use cgroup v2");
    if (rule.type == 'a') {  // the kernel takes "a" only for everything at once
      files.push_back(line(rule, 'b'));
      files.push_back(line(rule, 'c'));
    } else {
      files.push_back(line(rule, rule.type));
    }
  }
  return files;
}

}  // namespace husk::cgroups::v1
