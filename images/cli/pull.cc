#include <csignal>
#include <cstdio>
#include <mutex>

#include "base/format.h"
#include "base/text.h"
#include "images/cli/size_text.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {
    {0, "creds", "USER:PASSWORD", "log in with these"},
    {0, "platform", "OS/ARCH[/VARIANT]", "another platform than this machine's"},
    {'q', "quiet", "", "no progress"},
};

std::atomic<bool> cancelled = false;  // a signal handler can reach nothing else

// One line, rewritten at most ten times a second; only on a terminal.
class ProgressLine {
 public:
  void show(const PullProgress& progress) {
    const std::lock_guard lock{mutex_};
    const auto now = std::chrono::steady_clock::now();
    const bool last = progress.stage == PullStage::done;
    if (!last && now - shown_ < std::chrono::milliseconds{100} && progress.stage == stage_) return;
    shown_ = now;
    stage_ = progress.stage;
    std::fprintf(stderr, "\r\x1b[K%s", last ? "" : line(progress).c_str());
    std::fflush(stderr);
  }

 private:
  static std::string line(const PullProgress& progress) {
    const char* stage = "resolving";
    if (progress.stage == PullStage::downloading) stage = "downloading";
    if (progress.stage == PullStage::unpacking) stage = "unpacking";
    if (progress.stage == PullStage::committing) stage = "committing";
    auto text = format_text("{} {}", stage, progress.what.substr(0, 40));
    if (progress.bytes_total == 0) return text;
    return text + format_text(" {} of {}", size_text(progress.bytes_done), size_text(progress.bytes_total));
  }
  std::mutex mutex_;
  std::chrono::steady_clock::time_point shown_;
  PullStage stage_ = PullStage::done;
};

Result<int> run(const Invocation& invocation) {
  const auto& parsed = invocation.parsed;
  PullOptions options{.platform = parsed.text("platform"), .cancelled = &cancelled};
  if (parsed.has("creds")) {
    const auto text = parsed.text("creds");
    const auto colon = text.find(':');
    if (colon == std::string::npos)
      return Error{Kind::invalid, "--creds has no password"}.hint("write --creds USER:PASSWORD");
    options.credentials = {.username = text.substr(0, colon), .password = text.substr(colon + 1)};
  }
  ProgressLine progress;
  if (!parsed.has("quiet") && ::isatty(STDERR_FILENO) == 1)
    options.progress = [&](const PullProgress& now) { progress.show(now); };
  // An interrupted pull ends by its own way out, which removes what it had begun.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, [](int) { cancelled = true; });
  const auto images = TRY(open_tools(invocation.store));
  auto id = images->pull(parsed.positional[0], options);
  if (options.progress != nullptr) progress.show({.stage = PullStage::done});
  if (!id.has_value()) return std::move(id).error();
  std::printf("%s\n", id.value().c_str());
  return 0;
}

}  // namespace

const Verb kPull{"pull", "IMAGE", "bring an image from a registry", kOptions, 1, 1, 0, run};

}  // namespace husk::images::cli
