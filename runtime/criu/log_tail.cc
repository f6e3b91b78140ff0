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
constexpr std::array<std::string_view, 5> kNotTheReason{"Can't setup RLIMIT_NOFILE", "Dumping FAILED", "Restoring FAILED",
                                                        "Unable to detach from", "cgroupd: recv req error"};
constexpr std::string_view kSaidQuietly = "Can't connect to server";  // of a page server: not marked as an error

struct Remedy {
  std::string_view text;  // of CRIU's
  std::string_view what;
};
constexpr std::array kRemedies{
    Remedy{"Connected TCP socket in image", "give --tcp-established to keep it, or --tcp-close"},
    Remedy{"without peer", "the other end of a unix socket is in another network namespace: CRIU cannot save it"},
    Remedy{"Abort restore of existing cgroups", "husk makes the cgroup before: use another --manage-cgroups-mode"},
    Remedy{"lazy-pages.socket", "start criu lazy-pages before, with the same --work-path"},
    Remedy{".img: Permission denied", "the root of the container's user namespace must be able to read the image's files: save with umask 022"},
    Remedy{"Cgroup dir", "use --manage-cgroups-mode soft"},
    Remedy{"Tracking memory is not available", "leave out --pre-dump and --parent-path on this kernel"},
    Remedy{"can't write lsm profile", "a profile or label of the image is not known to the kernel: load it, or give --lsm-profile"},
    Remedy{"mismatched lsm types", "this CRIU does not know the module that the labels in the image belong to"},
    Remedy{"selinux not supported by kernel", "this CRIU may have been built without libselinux"},
    Remedy{"Unseizable non-zombie", "a process was between vfork and exec: try again"},
};

bool is_reason(std::string_view line) {
  if (line.find("Error (") == std::string_view::npos) return line.find(kSaidQuietly) != std::string_view::npos;
  return std::ranges::none_of(kNotTheReason, [&](auto text) { return line.find(text) != std::string_view::npos; });
}

// "(00.005286) Error (criu/util.c:1534): what" → "what"
std::string_view message_of(std::string_view line) {
  for (const std::string_view mark : {"): ", ") "})
    if (const auto end = line.find(mark); end != std::string_view::npos) return line.substr(end + mark.size());
  return line;
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

std::string_view find_remedy(std::string_view lines) {
  for (const auto& row : kRemedies)
    if (lines.find(row.text) != std::string_view::npos) return row.what;
  return "";
}

}  // namespace husk::criu
