#include "cgroups/stat_text.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cgroups {
namespace {

std::uint64_t number_or_0(std::string_view text) {
  const auto number = parse_uint64(text);
  return number.has_value() ? number.value() : 0;
}

// "12.34" without the locale's opinion about the point.
double parse_percent(std::string_view text) {
  constexpr std::size_t kDigits = 2;  // seq_printf("%lu.%02lu") in kernel/sched/psi.c
  const auto point = text.find('.');
  const auto whole = static_cast<double>(number_or_0(text.substr(0, point)));
  if (point == std::string_view::npos || text.size() - point - 1 != kDigits) return whole;
  return whole + static_cast<double>(number_or_0(text.substr(point + 1))) / 100;
}

PressureLine parse_pressure_line(std::string_view line) {
  PressureLine parsed;
  for (const auto word : split(line, ' ')) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const auto key = word.substr(0, equals);
    const auto value = word.substr(equals + 1);
    if (key == "avg10") parsed.avg10 = parse_percent(value);
    if (key == "avg60") parsed.avg60 = parse_percent(value);
    if (key == "avg300") parsed.avg300 = parse_percent(value);
    if (key == "total") parsed.total_us = number_or_0(value);
  }
  return parsed;
}

// "8:0"; nullopt for "Total" and other words.
std::optional<IoEntry> parse_device(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto major = parse_uint64(text.substr(0, colon));
  const auto minor = parse_uint64(text.substr(colon + 1));
  if (!major.has_value() || !minor.has_value()) return std::nullopt;
  return IoEntry{.major = major.value(), .minor = minor.value(), .operation = {}, .value = 0};
}

struct IoKey {
  std::string_view name;
  std::string_view operation;
  std::vector<IoEntry> IoStats::*list;
};
constexpr std::array kIoKeys{
    IoKey{"rbytes", "Read", &IoStats::bytes},        IoKey{"wbytes", "Write", &IoStats::bytes},
    IoKey{"dbytes", "Discard", &IoStats::bytes},     IoKey{"rios", "Read", &IoStats::operations},
    IoKey{"wios", "Write", &IoStats::operations},    IoKey{"dios", "Discard", &IoStats::operations}};

}  // namespace

std::optional<Pressure> parse_pressure(std::string_view text) {
  if (!text.starts_with("some ")) return std::nullopt;
  Pressure pressure;
  for (const auto line : split(text, '\n')) {
    if (line.starts_with("some ")) pressure.some = parse_pressure_line(line);
    if (line.starts_with("full ")) pressure.full = parse_pressure_line(line);
  }
  return pressure;
}

NamedNumbers parse_named_numbers(std::string_view text) {
  NamedNumbers numbers;
  for (const auto line : split(text, '\n')) {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const auto number = parse_uint64(trim(line.substr(space + 1)));
    if (number.has_value()) numbers.emplace_back(std::string{line.substr(0, space)}, number.value());
  }
  return numbers;
}

std::vector<std::uint32_t> parse_number_list(std::string_view text) {
  constexpr std::size_t kMost = 8192;
  std::vector<std::uint32_t> numbers;
  for (const auto part : split(trim(text), ',')) {
    const auto dash = part.find('-');
    const auto first = parse_uint32(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_uint32(part.substr(dash + 1));
    if (!first.has_value() || !last.has_value()) continue;
    for (std::uint64_t number = first.value(); number <= last.value() && numbers.size() < kMost; ++number)
      numbers.push_back(static_cast<std::uint32_t>(number));
  }
  return numbers;
}

std::vector<std::uint64_t> parse_numbers(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  for (const auto word : words_of(text))
    if (const auto number = parse_uint64(word); number.has_value()) numbers.push_back(number.value());
  return numbers;
}

void add_io_stat(IoStats& io, std::string_view text) {
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    const auto device = parse_device(words.front());
    if (!device.has_value()) continue;
    for (const auto word : words) {
      const auto equals = word.find('=');
      const auto key = std::find_if(kIoKeys.begin(), kIoKeys.end(),
                                    [&](const IoKey& one) { return one.name == word.substr(0, equals); });
      if (equals == std::string_view::npos || key == kIoKeys.end()) continue;
      auto& entry = (io.*(key->list)).emplace_back(*device);
      entry.operation = key->operation;
      entry.value = number_or_0(word.substr(equals + 1));
    }
  }
}

std::vector<IoEntry> parse_blkio(std::string_view text) {
  std::vector<IoEntry> entries;
  for (const auto line : split(text, '\n')) {
    const auto words = split(trim(line), ' ');
    auto device = parse_device(words.front());
    if (!device.has_value() || words.size() < 2) continue;
    if (words.size() > 2) device->operation = words[1];
    device->value = number_or_0(words.back());
    entries.push_back(std::move(*device));
  }
  return entries;
}

std::uint64_t parse_limit(std::string_view text) {
  const auto number = parse_uint64(trim(text));
  return number.has_value() ? number.value() : kUnlimited;
}

std::vector<std::string> read_huge_page_sizes() {
  constexpr std::string_view kPrefix = "hugepages-";
  std::vector<std::string> sizes;
  const auto directory = sys::openat(AT_FDCWD, "/sys/kernel/mm/hugepages", O_RDONLY | O_DIRECTORY);
  if (!directory.has_value()) return sizes;
  const auto entries = sys::list_dir(directory.value().get());
  if (!entries.has_value()) return sizes;
  for (const auto& entry : entries.value()) {
    if (!entry.name.starts_with(kPrefix) || !entry.name.ends_with("kB")) continue;
    auto number = number_or_0(std::string_view{entry.name}.substr(kPrefix.size(), entry.name.size() - kPrefix.size() - 2));
    std::size_t unit = 0;
    while (number >= 1024 && number % 1024 == 0 && unit < 2) {
      number /= 1024;
      ++unit;
    }
    sizes.push_back(format_text("{}{}", number, std::array{"KB", "MB", "GB"}[unit]));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

}  // namespace husk::cgroups
