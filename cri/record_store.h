// RecordStore: what List and Status read without touching the disk, and what survives huskd.
// Every change goes to disk first, then becomes visible; readers get an immutable snapshot.
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "cri/record_files.h"
#include "cri/records.h"

namespace husk::cri {

template <class Record>
class RecordStore {
 public:
  using Ref = std::shared_ptr<const Record>;
  using Decode = Result<Record> (*)(std::string_view);

  // `noun` is for error texts. A damaged file is set aside with a warning: the others still load.
  static Result<std::unique_ptr<RecordStore>> open(const std::string& directory, const char* noun, Decode decode) {
    auto files = TRY(RecordFiles::open(directory));
    auto store = std::unique_ptr<RecordStore>{new RecordStore{std::move(files), noun}};
    const auto all = TRY(store->files_.read_all());
    for (const auto& stored : all) {
      auto record = decode(stored.text);
      if (record.has_value() && record.value().id != stored.id)
        record = Error{Kind::invalid, format_text("it names id {}", quote(record.value().id))};
      if (!record.has_value()) {
        log::warning(format_text("{} record {} is damaged and was set aside: {}", noun, quote(stored.id),
                                 record.error().to_string()));
        TRY(store->files_.set_aside(stored.id));
        continue;
      }
      auto slot = std::make_shared<Slot>();
      slot->record = std::make_shared<const Record>(std::move(record).value());
      store->slots_.emplace(stored.id, std::move(slot));
    }
    return store;
  }

  // `id` may be a unique prefix, as the tools of CRI use it. Errors: invalid (empty, ambiguous), not_found.
  Result<Ref> find(std::string_view id) const {
    if (id.empty()) return Error{Kind::invalid, format_text("{} id is empty", noun_)};
    const std::lock_guard lock{mutex_};
    auto at = slots_.lower_bound(std::string{id});
    if (at == slots_.end() || !at->first.starts_with(id))
      return Error{Kind::not_found, format_text("no {} has id {}", noun_, quote(id))};
    if (at->first != id) {
      const auto next = std::next(at);
      if (next != slots_.end() && next->first.starts_with(id))
        return Error{Kind::invalid, format_text("{} id {} is ambiguous: {} and {} begin with it", noun_, quote(id),
                                                at->first, next->first)};
    }
    return at->second->record;
  }

  std::vector<Ref> list() const {
    const std::lock_guard lock{mutex_};
    std::vector<Ref> all;
    all.reserve(slots_.size());
    for (const auto& [id, slot] : slots_) all.push_back(slot->record);
    return all;
  }

  template <std::predicate<const Record&> Wanted>
  Ref find_if(Wanted wanted) const {
    const std::lock_guard lock{mutex_};
    for (const auto& [id, slot] : slots_)
      if (wanted(*slot->record)) return slot->record;
    return nullptr;
  }

  Status insert(Record record) {
    const auto id = record.id;
    TRY(files_.write(id, encode(record), Durable::yes));
    auto slot = std::make_shared<Slot>();
    slot->record = std::make_shared<const Record>(std::move(record));
    const std::lock_guard lock{mutex_};
    slots_[id] = std::move(slot);
    return ok();
  }

  // Reads, changes, writes and publishes one record; updates of the same record follow each other.
  // `change` returns false to leave it as it is. A record that is gone: not_found.
  Result<Ref> update(const std::string& id, Durable durable, const std::function<bool(Record&)>& change) {
    std::shared_ptr<Slot> slot;
    {
      const std::lock_guard lock{mutex_};
      const auto at = slots_.find(id);
      if (at == slots_.end()) return Error{Kind::not_found, format_text("no {} has id {}", noun_, quote(id))};
      slot = at->second;
    }
    const std::lock_guard writing{slot->writing};
    if (slot->erased) return Error{Kind::not_found, format_text("no {} has id {}", noun_, quote(id))};
    auto copy = *slot->record;
    if (!change(copy)) return slot->record;
    TRY(files_.write(id, encode(copy), durable));
    auto fresh = std::make_shared<const Record>(std::move(copy));
    const std::lock_guard lock{mutex_};
    slot->record = fresh;
    return Ref{fresh};
  }

  Status erase(const std::string& id) {
    std::shared_ptr<Slot> slot;
    {
      const std::lock_guard lock{mutex_};
      const auto at = slots_.find(id);
      if (at == slots_.end()) return ok();
      slot = at->second;
    }
    const std::lock_guard writing{slot->writing};
    TRY(files_.remove(id));
    slot->erased = true;
    const std::lock_guard lock{mutex_};
    slots_.erase(id);
    return ok();
  }

 private:
  struct Slot {
    Ref record;
    std::mutex writing;  // held while a new version goes to disk
    bool erased = false;
  };
  RecordStore(RecordFiles files, const char* noun) : files_{std::move(files)}, noun_{noun} {}

  RecordFiles files_;
  const char* noun_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_;
};

using PodStore = RecordStore<PodRecord>;
using ContainerStore = RecordStore<ContainerRecord>;
using PodRef = PodStore::Ref;
using ContainerRef = ContainerStore::Ref;

}  // namespace husk::cri
