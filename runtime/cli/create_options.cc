#include "cli/create_options.h"

#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cli {
namespace {

Result<std::string> absolute_or_empty(const std::string& path) {
  if (path.empty()) return path;
  return absolute_path(path);
}

// Standard input stays; whatever else the caller has open is closed before any file is opened.
Result<std::string> config_path(const std::string& path) {
  if (path == "-") return std::string{"/dev/stdin"};
  for (const std::string_view place : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(place)) continue;
    const auto number = parse_uint32(std::string_view{path}.substr(place.size()));
    if (number.has_value() && number.value() > 2)
      return Error{Kind::invalid, "--config: open descriptors of the caller are closed first of all (CVE-2024-21626)"}.hint(
          "give the name of a file, or - for standard input: jq ... | husk run -f - ID");
  }
  return absolute_or_empty(path);
}

}  // namespace

int announced_fds() {
  const char* count = std::getenv("LISTEN_FDS");
  const char* pid = std::getenv("LISTEN_PID");
  if (count == nullptr) return 0;
  // Some callers set LISTEN_PID for the runtime, some leave it out. Source: man 3 sd_listen_fds.
  if (pid != nullptr && format_text("{}", ::getpid()) != pid) return 0;
  constexpr std::uint32_t kMost = 1024;
  const auto number = parse_uint32(count);
  return number.has_value() && number.value() <= kMost ? static_cast<int>(number.value()) : 0;
}

std::string host_notify_socket() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  return path == nullptr ? "" : path;
}

Result<runtime::CreateOptions> make_create_options(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  runtime::CreateOptions options{.id = id};
  const auto bundle = parsed.has("bundle") ? parsed.text("bundle") : std::string{"."};
  options.bundle = TRY(absolute_path(bundle));
  while (options.bundle.size() > 1 && (options.bundle.ends_with("/.") || options.bundle.ends_with('/')))
    options.bundle.pop_back();
  options.config_path = TRY(config_path(parsed.text("config")));
  options.console_socket = TRY(absolute_or_empty(parsed.text("console-socket")));
  options.pidfd_socket = TRY(absolute_or_empty(parsed.text("pidfd-socket")));
  options.pid_file = TRY(absolute_or_empty(parsed.text("pid-file")));
  options.notify_socket = host_notify_socket();
  options.no_pivot = parsed.has("no-pivot");
  options.new_keyring = !parsed.has("no-new-keyring");
  options.listen_fds = announced_fds();
  const int preserve = TRY(parsed.number("preserve-fds", 0));
  options.preserve_fds = options.listen_fds + preserve;
  options.driver = globals.driver;
  return options;
}

}  // namespace husk::cli
