#include "criu/log_tail.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/text.h"

namespace husk::criu {
namespace {

constexpr std::size_t kMostLines = 4;
constexpr std::size_t kMostBytes = 400;  // of one line

// Said by every run without CAP_SYS_RESOURCE, and what follows from the error that matters.
constexpr std::array<std::string_view, 3> kNotTheReason{"Can't setup RLIMIT_NOFILE", "Dumping FAILED", "Restoring FAILED"};

bool is_reason(std::string_view line) {
  if (line.find("Error (") == std::string_view::npos) return false;
  return std::ranges::none_of(kNotTheReason, [&](auto text) { return line.find(text) != std::string_view::npos; });
}

// "(00.005286) Error (criu/util.c:1534): what" → "what"
std::string_view message_of(std::string_view line) {
  const auto end = line.find("): ");
  return end == std::string_view::npos ? line : line.substr(end + 3);
}

}  // namespace

std::string error_lines(std::string_view log) {
  std::vector<std::string_view> found;
  for (const auto line : split(log, '\n'))
    if (is_reason(line)) found.push_back(message_of(trim(line)).substr(0, kMostBytes));
  const auto first = found.size() > kMostLines ? found.size() - kMostLines : 0;
  std::string text;
  for (std::size_t i = first; i < found.size(); ++i) {
    if (!text.empty()) text += "; ";
    text += found[i];
  }
  return text;
}

}  // namespace husk::criu
