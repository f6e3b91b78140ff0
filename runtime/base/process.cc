#include "base/process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/program_variable.h"
#include "base/text.h"

namespace husk {
namespace {

constexpr std::string_view kUsualPlaces = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool is_program(const std::string& path) {
  const auto info = sys::fstatat(AT_FDCWD, path, 0);
  return info.has_value() && S_ISREG(info.value().st_mode) && sys::access(path, X_OK).has_value();
}

class FileActions {
 public:
  FileActions() { require(::posix_spawn_file_actions_init(&actions_) == 0, "posix_spawn_file_actions_init"); }
  ~FileActions() { (void)::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  void dup_to(int from, int target) {
    require(::posix_spawn_file_actions_adddup2(&actions_, from, target) == 0, "posix_spawn adddup2");
  }
  void open_null(int target) {
    require(::posix_spawn_file_actions_addopen(&actions_, target, "/dev/null", O_RDWR, 0) == 0, "posix_spawn addopen");
  }
  void change_directory(const std::string& path) {
    require(::posix_spawn_file_actions_addchdir_np(&actions_, path.c_str()) == 0, "posix_spawn addchdir");
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

class Attributes {
 public:
  explicit Attributes(bool new_session) {
    require(::posix_spawnattr_init(&attributes_) == 0, "posix_spawnattr_init");
    sigset_t none;
    sigset_t all;
    (void)::sigemptyset(&none);
    (void)::sigfillset(&all);
    (void)::posix_spawnattr_setsigmask(&attributes_, &none);
    (void)::posix_spawnattr_setsigdefault(&attributes_, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (new_session) flags = static_cast<short>(flags | POSIX_SPAWN_SETSID);
    (void)::posix_spawnattr_setflags(&attributes_, flags);
  }
  ~Attributes() { (void)::posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

// Sources are first copied above every target, so that no dup2 overwrites one still needed.
Result<std::vector<UniqueFd>> plan_descriptors(const SpawnOptions& options, FileActions& actions) {
  std::vector<UniqueFd> high;
  int lowest = 3;
  for (const auto& item : options.descriptors) lowest = std::max(lowest, item.target + 1);
  std::array<bool, 3> given{};
  for (const auto& item : options.descriptors) {
    high.push_back(TRY(sys::dup_cloexec(item.from, lowest)));
    if (item.target < 3) given.at(static_cast<std::size_t>(item.target)) = true;
  }
  for (int target = 0; target < 3; ++target)
    if (!given.at(static_cast<std::size_t>(target)) && !options.keep_stdio) actions.open_null(target);
  for (std::size_t i = 0; i < high.size(); ++i) actions.dup_to(high[i].get(), options.descriptors[i].target);
  return high;
}

void append_bounded(std::string& text, std::string_view block, std::size_t max_bytes) {
  text.append(block.substr(0, std::min(block.size(), max_bytes - text.size())));
}

}  // namespace

ArgBlock::ArgBlock(std::vector<std::string> items) : items_{std::move(items)} {
  pointers_.reserve(items_.size() + 1);
  for (auto& item : items_) pointers_.push_back(item.data());
  pointers_.push_back(nullptr);
}

std::vector<std::string> current_environment() {
  std::vector<std::string> items;
  for (char** item = ::environ; item != nullptr && *item != nullptr; ++item) items.emplace_back(*item);
  return items;
}

Result<std::vector<std::string>> own_arguments() {
  const auto text = TRY(read_file("/proc/self/cmdline"));
  std::vector<std::string> arguments;
  for (const auto part : split(text, '\0')) arguments.emplace_back(part);
  if (!arguments.empty()) arguments.pop_back();  // after the last terminator
  return arguments;
}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

Child::~Child() {
  if (pid_ < 0) return;
  (void)sys::pidfd_send_signal(pidfd_.get(), SIGKILL);  // may be over already
  (void)sys::waitid_pidfd(pidfd_.get(), WEXITED);
}

Result<Child> Child::adopt(pid_t pid) {
  Child child;
  child.pidfd_ = TRY(sys::pidfd_open(pid));
  child.pid_ = pid;
  return child;
}

Status Child::signal(int number) const { return sys::pidfd_send_signal(pidfd_.get(), number); }

Result<ExitStatus> Child::wait() {
  const auto ended = TRY(sys::waitid_pidfd(pidfd_.get(), WEXITED));
  pid_ = -1;
  pidfd_.reset();
  return ExitStatus{.code = ended.status, .signal = ended.signal};
}

Result<std::optional<ExitStatus>> Child::wait_for(int timeout_ms) {
  std::vector<sys::PollEntry> entries{{.fd = pidfd_.get(), .events = POLLIN}};
  if (TRY(sys::poll(entries, timeout_ms)) == 0) return std::optional<ExitStatus>{};
  return std::optional{TRY(wait())};
}

pid_t Child::release() {
  pidfd_.reset();
  return std::exchange(pid_, -1);
}

Result<Child> spawn(const SpawnOptions& options) {
  require(options.path.starts_with('/'), "spawn: path must be absolute");
  FileActions actions;
  const auto high = TRY(plan_descriptors(options, actions));
  if (options.working_directory.has_value()) actions.change_directory(*options.working_directory);
  const Attributes attributes{options.new_session};
  const ArgBlock arguments{options.arguments};
  const ArgBlock environment{options.environment.has_value() ? *options.environment : current_environment()};
  pid_t pid = -1;
  const int err =
      ::posix_spawn(&pid, options.path.c_str(), actions.get(), attributes.get(), arguments.get(), environment.get());
  if (err != 0) return Error{kind_of_errno(err), format_text("posix_spawn({})", quote(options.path)), err};
  return Child::adopt(pid);
}

Result<Output> run(SpawnOptions options, int timeout_ms, std::size_t max_bytes) {
  auto out = TRY(sys::pipe2());
  auto err = TRY(sys::pipe2());
  options.descriptors.push_back({.from = out.write_end.get(), .target = 1});
  options.descriptors.push_back({.from = err.write_end.get(), .target = 2});
  auto child = TRY(spawn(options));
  out.write_end.reset();
  err.write_end.reset();
  Output output;
  const std::int64_t deadline = now_monotonic_ns() + static_cast<std::int64_t>(timeout_ms) * 1'000'000;
  std::array<char, 16384> block;  // NOLINT: filled by read
  while (out.read_end.is_open() || err.read_end.is_open()) {
    std::vector<sys::PollEntry> entries{{.fd = out.read_end.get(), .events = POLLIN},
                                        {.fd = err.read_end.get(), .events = POLLIN}};
    int left = -1;
    if (timeout_ms >= 0) left = static_cast<int>(std::max<std::int64_t>(0, (deadline - now_monotonic_ns()) / 1'000'000));
    if (TRY(sys::poll(entries, left)) == 0)
      return Error{Kind::timed_out, format_text("{} did not finish within {} ms", quote(options.path), timeout_ms)};
    for (auto* stream : {&out.read_end, &err.read_end}) {
      const auto& entry = stream == &out.read_end ? entries[0] : entries[1];
      if (entry.revents == 0) continue;
      const auto got = TRY(sys::read_some(stream->get(), block));
      if (got == 0) stream->reset();
      append_bounded(stream == &out.read_end ? output.out : output.err, {block.data(), got}, max_bytes);
    }
  }
  int left = -1;
  if (timeout_ms >= 0) left = static_cast<int>(std::max<std::int64_t>(0, (deadline - now_monotonic_ns()) / 1'000'000));
  const auto ended = TRY(child.wait_for(left));
  if (!ended.has_value())
    return Error{Kind::timed_out, format_text("{} did not finish within {} ms", quote(options.path), timeout_ms)};
  output.status = *ended;
  return output;
}

Result<std::string> sibling_program(const std::string& name) {
  auto self = TRY(sys::readlinkat(AT_FDCWD, "/proc/self/exe"));
  // Run from a detached clone of the file alone, which has no directory: who started the clone has said where.
  const char* known = self == "/" ? std::getenv(kProgramVariable) : nullptr;
  if (known != nullptr) self = known;
  const auto path = self.substr(0, self.rfind('/') + 1) + name;
  if (!sys::access(path, X_OK).has_value())
    return Error{Kind::not_found, format_text("program {} is missing", quote(path))}.hint(
        "husk's programs must be installed in one directory");
  return path;
}

Result<std::string> find_host_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  const auto places = format_text("{}:{}", path != nullptr ? path : "", kUsualPlaces);
  for (const auto directory : split(places, ':')) {
    const auto candidate = format_text("{}/{}", directory, name);
    if (directory.starts_with('/') && is_program(candidate)) return candidate;
  }
  return Error{Kind::not_found, format_text("the program {} was not found", name)};
}

Status close_all_but(unsigned first, std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > first) TRY(sys::close_range(first, number - 1, 0));
    first = std::max(first, number + 1);
  }
  return sys::close_range(first, ~0U, 0);
}

}  // namespace husk
