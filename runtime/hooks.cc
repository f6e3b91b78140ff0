#include "hooks.h"

#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <limits>

#include "annotations.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr std::size_t kShownOutput = 2048;

// The end of what the hook printed; a file and no pipe, so that a daemon the hook leaves behind
// cannot keep us waiting.
std::string last_output(const UniqueFd& file) {
  const auto end = sys::lseek(file.get(), 0, SEEK_END);
  if (!end.has_value()) return "";
  std::array<char, kShownOutput> block{};
  const auto got = sys::pread_some(file.get(), block, std::max<off_t>(0, end.value() - static_cast<off_t>(block.size())));
  return got.has_value() ? std::string{trim({block.data(), got.value()})} : "";
}

// quote() for a longer text: it shows 256 bytes, and the reason stands at the end.
std::string quote_all(std::string_view text) {
  constexpr std::size_t kPart = 256;
  std::string quoted = "\"";
  for (std::size_t at = 0; at < text.size(); at += kPart) {
    const auto part = quote(text.substr(at, kPart));
    quoted.append(part, 1, part.size() - 2);
  }
  return quoted + "\"";
}

int timeout_ms(const oci::Hook& hook) {
  if (!hook.timeout_seconds.has_value()) return -1;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max() / 1000;
  return static_cast<int>(std::min(*hook.timeout_seconds, kMost)) * 1000;
}

// The bundle is out of sight once the container's root is entered.
std::optional<std::string> working_directory(const std::string& bundle) {
  if (bundle.empty() || !sys::access(bundle, X_OK).has_value()) return std::nullopt;
  return bundle;
}

// The file that an annotation names, or `otherwise`. The path is the host's: a hook inside the container has none.
Result<UniqueFd> open_output(const oci::State& state, std::string_view kind, std::string_view key, const UniqueFd& otherwise) {
  const auto* path = kind == "startContainer" ? nullptr : find_annotation(state.annotations, key);
  if (path == nullptr) return sys::dup_cloexec(otherwise.get());
  return sys::openat(AT_FDCWD, *path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600).during(format_text("annotation {}", key));
}

// Nothing when the time is over. Who ends the container's init while a hook runs for it (delete --force) wants it to end
// too; the destructor of `child` kills it.
Result<std::optional<ExitStatus>> wait_for_hook(Child& child, int timeout, const UniqueFd* init) {
  std::vector<sys::PollEntry> entries{{.fd = child.pidfd(), .events = POLLIN}, {.fd = init != nullptr ? init->get() : -1, .events = POLLIN}};
  TRY(sys::poll(entries, timeout));
  if (entries[0].revents == 0 && entries[1].revents != 0)
    return Error{Kind::unavailable, "the container's init ended while the hook ran"};
  return entries[0].revents == 0 ? std::optional<ExitStatus>{} : std::optional{TRY(child.wait())};
}

Status run_hook(const oci::Hook& hook, std::string_view kind, const oci::State& about, const UniqueFd* init) {
  const auto state = oci::hook_state_json(about).dump();
  const auto input = TRY(sys::memfd_create("hook-state", MFD_CLOEXEC));
  TRY(sys::write_all(input.get(), state));
  TRY(sys::lseek(input.get(), 0, SEEK_SET));
  const auto output = TRY(sys::memfd_create("hook-output", MFD_CLOEXEC));
  const auto out = TRY(open_output(about, kind, kHooksStdout, output));
  const auto err = TRY(open_output(about, kind, kHooksStderr, output));
  SpawnOptions options{.path = hook.path,
                       .arguments = hook.args.empty() ? std::vector{hook.path} : hook.args,
                       .environment = hook.env,
                       .working_directory = working_directory(about.bundle),
                       .descriptors = {{.from = input.get(), .target = 0},
                                       {.from = out.get(), .target = 1},
                                       {.from = err.get(), .target = 2}}};
  auto child = TRY(spawn(options).hint("\"path\" of a hook is an absolute path to a program"));
  const auto ended = TRY(wait_for_hook(child, timeout_ms(hook), init));
  if (!ended.has_value())
    return Error{Kind::timed_out, format_text("hook {} timed out after {} s", quote(hook.path), *hook.timeout_seconds)};
  if (ended->success()) return ok();
  const auto how = ended->signal != 0 ? format_text("signal {}", ended->signal) : format_text("exit status {}", ended->code);
  const auto said = last_output(output);
  return Error{Kind::internal, format_text("hook {}: {}{}", quote(hook.path), how,
                                           said.empty() ? "" : format_text(", output: {}", quote_all(said)))};
}

}  // namespace

Status run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const oci::State& state, const UniqueFd* init) {
  for (std::size_t i = 0; i < hooks.size(); ++i)
    TRY(run_hook(hooks[i], kind, state, init).during(format_text("error running {} hook #{}", kind, i)));
  return ok();
}

void run_all_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const oci::State& state) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const auto done = run_hook(hooks[i], kind, state, nullptr);
    if (!done.has_value()) log::warning(format_text("{} hook #{}: {}", kind, i, done.error().to_string()));
  }
}

}  // namespace husk::runtime
