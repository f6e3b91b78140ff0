#include "cli/criu_options.h"

#include <sched.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::cli {
namespace {

constexpr std::array<std::string_view, 7> kModes{"soft", "full", "strict", "props", "none", "cg-none", "ignore"};
constexpr std::array<std::string_view, 3> kLocks{"iptables", "nftables", "skip"};

Result<std::string> one_of(const Parsed& parsed, std::string_view name, std::span<const std::string_view> words) {
  auto value = parsed.text(name);
  if (!parsed.has(name) || std::ranges::find(words, value) != words.end()) return value;
  std::vector<std::string> known{words.begin(), words.end()};
  return Error{Kind::invalid, format_text("unknown --{} {}", name, quote(value))}.hint(format_text("use {}", join(known, ", ")));
}

Result<std::string> path_in(const Parsed& parsed, std::string_view name, const std::string& absent) {
  const auto text = parsed.has(name) ? parsed.text(name) : absent;
  if (parsed.has(name) && text.empty()) return Error{Kind::invalid, format_text("--{} is empty", name)};
  if (text.empty()) return text;
  return absolute_path(text);
}

}  // namespace

Result<runtime::CriuOptions> parse_criu_options(const Parsed& parsed) {
  runtime::CriuOptions options;
  options.image_path = TRY(path_in(parsed, "image-path", "checkpoint"));
  options.work_path = TRY(path_in(parsed, "work-path", ""));
  auto& criu = options.criu;
  criu.tcp_established = parsed.has("tcp-established");
  criu.ext_unix_sk = parsed.has("ext-unix-sk");
  criu.shell_job = parsed.has("shell-job");
  criu.file_locks = parsed.has("file-locks");
  criu.auto_dedup = parsed.has("auto-dedup");
  criu.lazy_pages = parsed.has("lazy-pages");
  criu.cgroup_mode = TRY(one_of(parsed, "manage-cgroups-mode", kModes));
  criu.network_lock = TRY(one_of(parsed, "network-lock", kLocks));
  for (const auto& name : parsed.all("empty-ns")) {
    if (name != "network") return Error{Kind::invalid, format_text("--empty-ns {}: only network can be left empty", quote(name))};
    criu.empty_namespaces |= CLONE_NEWNET;
  }
  return options;
}

Status set_page_server(const std::string& text, criu::Request& request) {
  constexpr std::uint32_t kHighest = 65535;
  const auto colon = text.rfind(':');
  const auto port = colon == std::string::npos ? Result<std::uint32_t>{0U} : parse_uint32(text.substr(colon + 1));
  if (colon == std::string::npos || colon == 0 || !port.has_value() || port.value() == 0 || port.value() > kHighest)
    return Error{Kind::invalid, format_text("--page-server {}: must be ADDRESS:PORT", quote(text))};
  request.page_server_address = text.substr(0, colon);
  request.page_server_port = static_cast<int>(port.value());
  return ok();
}

}  // namespace husk::cli
