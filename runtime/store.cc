#include "store.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr const char* kWritableRoot = "name a directory that can be written with --root, or below XDG_RUNTIME_DIR";

// A waiting init accepts on its start socket; it closes the socket when it is told to start.
bool is_waiting_for_start(const std::string& directory) {
  return sys::connect_unix(format_text("{}/{}", directory, kStartSocket), SOCK_SEQPACKET).has_value();
}

Phase phase_of(Stage stage, const std::string& directory) {
  switch (stage) {
    case Stage::creating: return Phase::creating;
    case Stage::created: return Phase::created;
    case Stage::starting: return is_waiting_for_start(directory) ? Phase::created : Phase::running;
    case Stage::running: return Phase::running;
  }
  return Phase::stopped;
}

}  // namespace

Error does_not_exist(std::string_view id) {
  return Error{Kind::not_found, format_text("container {} does not exist", quote(id))};
}

Result<Record> ContainerDir::read() const {
  constexpr const char* kRemedy = "unless a create is at work, husk delete --force removes what is left";
  const auto text = read_file_at(directory_.get(), kStateFile).during("read container state");
  // Its husk was killed before the first record, or the directory is somebody else's.
  if (!text.has_value() && text.error().kind() == Kind::not_found)
    return does_not_exist(std::string_view{path_}.substr(path_.rfind('/') + 1)).hint(kRemedy);
  if (!text.has_value()) return text.error();
  auto record = TRY(parse_record(text.value()).during(format_text("{}/{}", path_, kStateFile)).hint(kRemedy));
  record.owner = TRY(sys::fstat(directory_.get())).st_uid;  // a plain user's husk is root where it makes it
  return record;
}

Status ContainerDir::write(const Record& record) const {
  return write_atomically(directory_.get(), kStateFile, write_record(record), 0600).during("write container state");
}

Result<std::string> ContainerDir::read_config() const {
  return read_file_at(directory_.get(), kConfigFile).during("read the container's configuration");
}

Status ContainerDir::write_config(std::string_view text) const {
  const auto file =
      TRY(sys::openat(directory_.get(), kConfigFile, O_WRONLY | O_CREAT | O_EXCL, 0600).during("keep config.json"));
  return sys::write_all(file.get(), text).during("keep config.json");
}

Status ContainerDir::replace_config(std::string_view text, const std::function<Status()>& change) const {
  const auto next = format_text("{}.next", kConfigFile);
  TRY(write_atomically(fd(), next, text, 0600).during("keep config.json"));
  auto changed = change();
  if (!changed.has_value()) {
    (void)sys::unlinkat(fd(), next);  // overwritten by the next change
    return changed;
  }
  return sys::renameat2(fd(), next, fd(), kConfigFile).during("keep config.json");
}

std::optional<int> ContainerDir::find_exit_code() const {
  const auto text = read_file_at(fd(), kExitFile, 64);
  if (!text.has_value()) return std::nullopt;
  const auto code = parse_uint32(text.value());
  return code.has_value() ? std::optional{static_cast<int>(code.value())} : std::nullopt;
}

Status ContainerDir::write_exit_code(int code) const {
  return write_atomically(fd(), kExitFile, format_text("{}", code), 0600).during("keep the exit code");
}

Status ContainerDir::lock() const { return sys::flock(directory_.get(), LOCK_EX).during("lock container"); }

Result<bool> ContainerDir::try_lock() const {
  const auto locked = sys::flock(directory_.get(), LOCK_EX | LOCK_NB);
  if (locked.has_value()) return true;
  if (locked.error().kind() == Kind::busy) return false;
  return locked.error();
}

void ContainerDir::unlock() const { (void)sys::flock(directory_.get(), LOCK_UN); }  // closing would do it too

Status ContainerDir::remove() const { return remove_state(path_); }

bool ContainerDir::is_gone() const {
  const auto info = sys::fstat(directory_.get());
  return info.has_value() && info.value().st_nlink == 0;
}

Result<Phase> ContainerDir::live_phase(const Record& record) const {
  const auto alive = TRY(open_alive(record.init));
  if (!alive.has_value())
    return record.stage == Stage::creating && record.init.pid == 0 ? Phase::creating : Phase::stopped;
  const auto phase = phase_of(record.stage, path_);
  if (phase == Phase::creating) return phase;
  const auto cgroup = open_cgroup(record);
  if (!cgroup.has_value()) return phase;  // a cgroup that is gone freezes nobody
  const auto frozen = cgroup.value()->is_frozen();
  return frozen.has_value() && frozen.value() ? Phase::paused : phase;
}

// What is usually there, by name, which takes no descriptor; whatever else there is, by a walk.
Status remove_state(const std::string& directory) {
  for (const auto* name : {kConfigFile, kStateFile, kStartSocket}) (void)sys::unlinkat(AT_FDCWD, format_text("{}/{}", directory, name));
  if (sys::unlinkat(AT_FDCWD, directory, AT_REMOVEDIR).has_value()) return ok();
  return remove_tree(AT_FDCWD, directory).during("remove container state");
}

Result<ContainerDir> StateStore::reserve(const ContainerId& id) const {
  const auto path = format_text("{}/{}", root_, id.text());
  auto made = sys::mkdirat(AT_FDCWD, path, 0700);
  if (!made.has_value() && made.error().kind() == Kind::not_found) {
    TRY(make_directories(root_, 0700).during("make the state directory").hint(kWritableRoot));
    made = sys::mkdirat(AT_FDCWD, path, 0700);
  }
  if (!made.has_value()) {
    if (made.error().kind() == Kind::exists)
      return Error{Kind::exists, format_text("container with given ID already exists: {}", quote(id.text()))}.hint(
          "choose another id, or run husk delete --force");
    return std::move(made).error().during("make the state directory").hint(kWritableRoot);
  }
  ContainerDir directory{path, TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))};
  // A `delete --force` may have come between mkdir and the lock, and taken the directory away.
  const auto locked = TRY(directory.try_lock());
  if (!locked || directory.is_gone())
    return Error{Kind::busy, format_text("container {} is being deleted by another command", quote(id.text()))};
  return directory;
}

Result<ContainerDir> StateStore::open(const ContainerId& id) const {
  auto path = format_text("{}/{}", root_, id.text());
  auto directory = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory.has_value()) {
    if (directory.error().kind() == Kind::not_found) return does_not_exist(id.text());
    return std::move(directory).error();
  }
  return ContainerDir{std::move(path), std::move(directory).value()};
}

Result<std::vector<std::string>> StateStore::ids() const {
  std::vector<std::string> found;
  auto directory = sys::openat(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
  if (!directory.has_value()) {
    if (directory.error().kind() == Kind::not_found) return found;
    return std::move(directory).error();
  }
  for (auto& entry : TRY(sys::list_dir(directory.value().get())))
    if ((entry.type == DT_DIR || entry.type == DT_UNKNOWN) && ContainerId::parse(entry.name).has_value()) found.push_back(std::move(entry.name));
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace husk::runtime
