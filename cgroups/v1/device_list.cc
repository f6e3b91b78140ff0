#include "cgroups/v1/device_list.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/format.h"
#include "cgroups/device_rules.h"

namespace husk::cgroups::v1 {
namespace {

constexpr const char* kField = "devices";  // the reduced list no longer tells which rule it was

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

std::string line_of(const oci::DeviceRule& rule, unsigned bits) {
  return format_text("{} {}:{} {}", rule.type, number_text(rule.major), number_text(rule.minor), access_text(bits));
}

ControlFile line(bool allow, const oci::DeviceRule& rule, unsigned bits) {
  return {allow ? "devices/devices.allow" : "devices/devices.deny", line_of(rule, bits), Need::required, kField};
}

bool has_same_numbers(const oci::DeviceRule& a, const oci::DeviceRule& b) {
  return covers_devices(a, b) && covers_devices(b, a);
}

struct Exception {
  oci::DeviceRule numbers;  // type "b" or "c": the kernel takes "a" only for everything at once
  unsigned bits = 0;
};

// What the kernel's list holds after some rules.
struct List {
  bool allows = false;  // what the exceptions are exceptions from
  std::vector<Exception> exceptions;

  unsigned bits_of(const oci::DeviceRule& numbers) const {
    for (const auto& one : exceptions)
      if (has_same_numbers(one.numbers, numbers)) return one.bits;
    return 0;
  }
  void add(oci::DeviceRule rule, char type) {
    rule.type = type;
    for (auto& one : exceptions) {
      if (!has_same_numbers(one.numbers, rule)) continue;
      one.bits |= access_bits(rule.access);
      return;
    }
    exceptions.push_back({rule, access_bits(rule.access)});
  }
  // The rule repeats the default: exceptions that it covers lose its bits.
  Status take_back(const oci::DeviceRule& rule) {
    for (auto& one : exceptions) {
      if ((one.bits & access_bits(rule.access)) == 0 || !can_overlap(rule, one.numbers)) continue;
      if (!covers_devices(rule, one.numbers))
        return Error{Kind::unsupported,
                     format_text("\"/linux/resources/devices\": cgroup v1 cannot except \"{}\" from the earlier \"{}\"",
                                 line_of(rule, access_bits(rule.access)), line_of(one.numbers, one.bits))}
            .hint("list the devices one by one, or use cgroup v2");
      one.bits &= ~access_bits(rule.access);
    }
    std::erase_if(exceptions, [](const Exception& one) { return one.bits == 0; });
    return ok();
  }
};

Result<List> list_of(const std::vector<oci::DeviceRule>& rules) {
  const auto reduced = reduce_rules(rules);
  List list{.allows = reduced.front().allow, .exceptions = {}};
  for (std::size_t i = 1; i < reduced.size(); ++i) {
    const auto& rule = reduced[i];
    if (rule.allow == list.allows) {
      TRY(list.take_back(rule));
    } else if (rule.type == 'a') {
      list.add(rule, 'b');
      list.add(rule, 'c');
    } else {
      list.add(rule, rule.type);
    }
  }
  return list;
}

std::vector<ControlFile> files_of(const List& list) {
  std::vector<ControlFile> files{
      {list.allows ? "devices/devices.allow" : "devices/devices.deny", "a", Need::required, kField}};
  for (const auto& one : list.exceptions) files.push_back(line(!list.allows, one.numbers, one.bits));
  return files;
}

// Exceptions of `wide` that `narrow` has not.
void add_difference(std::vector<ControlFile>& files, const List& wide, const List& narrow, bool allow) {
  for (const auto& one : wide.exceptions)
    if (const auto bits = one.bits & ~narrow.bits_of(one.numbers); bits != 0)
      files.push_back(line(allow, one.numbers, bits));
}

}  // namespace

Result<std::vector<ControlFile>> device_files(const std::vector<oci::DeviceRule>& rules) {
  if (rules.empty()) return std::vector<ControlFile>{};
  const auto list = TRY(list_of(rules));
  if (list.allows && list.exceptions.empty()) return std::vector<ControlFile>{};  // a new cgroup has what its parent has
  return files_of(list);
}

Result<std::vector<oci::DeviceRule>> listed_rules(const std::vector<oci::DeviceRule>& rules) {
  const auto list = TRY(list_of(rules));
  std::vector<oci::DeviceRule> listed{{.allow = list.allows, .type = 'a', .access = "rwm"}};
  for (const auto& one : list.exceptions) {
    listed.push_back(one.numbers);
    listed.back().allow = !list.allows;
    listed.back().access = access_text(one.bits);
  }
  return listed;
}

Result<DeviceChange> device_change(const std::vector<oci::DeviceRule>& before, const std::vector<oci::DeviceRule>& after) {
  const auto from = TRY(list_of(before));
  const auto to = TRY(list_of(after));
  if (from.allows != to.allows) return DeviceChange{.files = files_of(to), .anew = true};
  DeviceChange change;
  if (to.allows) {
    add_difference(change.files, from, to, true);
    add_difference(change.files, to, from, false);
  } else {
    add_difference(change.files, to, from, true);
    add_difference(change.files, from, to, false);
  }
  return change;
}

}  // namespace husk::cgroups::v1
