// husk gc: what a create left that was killed before its end.
#include "base/clock.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "container.h"

namespace husk::runtime {
namespace {

// Between mkdir and the lock a create is at work that shows nothing yet.
bool is_fresh(const ContainerDir& directory) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kNsPerSecond = 1'000'000'000;
  const auto info = sys::fstat(directory.fd());
  return !info.has_value() || now_unix_ns() / kNsPerSecond - info.value().st_mtim.tv_sec < kMinute;
}

// With the lock held nobody is making it any more: a record that says "creating" was left behind.
bool is_cut_short(const ContainerDir& directory) {
  const auto record = directory.read();
  if (record.has_value()) return record.value().stage == Stage::creating;
  if (record.error().kind() == Kind::not_found) return !is_fresh(directory);
  log::warning(record.error().to_string());
  return false;
}

Result<bool> collect(const StateStore& store, const ContainerId& id, bool dry_run) {
  const auto directory = store.open(id);
  if (!directory.has_value()) return directory.error().kind() == Kind::not_found ? Result<bool>{false} : directory.error();
  const auto locked = TRY(directory.value().try_lock());
  if (!locked || directory.value().is_gone() || !is_cut_short(directory.value())) return false;
  if (!dry_run) TRY(remove_locked(directory.value()));
  return true;
}

}  // namespace

Result<std::vector<std::string>> collect_cut_short(const StateStore& store, bool dry_run) {
  std::vector<std::string> collected;
  std::optional<Error> first;
  for (const auto& text : TRY(store.ids())) {
    const auto id = TRY(ContainerId::parse(text));
    const auto done = collect(store, id, dry_run);
    if (done.has_value() && done.value()) collected.push_back(text);
    if (done.has_value()) continue;
    if (first.has_value()) log::warning(Error{done.error()}.during(text).to_string());
    else first = Error{done.error()}.during(text);
  }
  if (first.has_value()) return *first;
  return collected;
}

}  // namespace husk::runtime
