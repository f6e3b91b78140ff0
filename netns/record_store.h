// What the bridge engine must not forget: one JSON file a pod, and a lock file that also holds the place in
// the round of addresses. Several processes may share the directory. Read `lock` first.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netns/pod_network.h"

namespace husk::netns {

struct Record {
  std::string pod_id;
  std::string name;
  std::string uid;
  std::string netns_path;
  std::uint32_t offset = 0;  // of the address in the subnet
  std::vector<PortMapping> ports;
};

std::string print_record(const Record& record);
Result<Record> parse_record(const std::string& text);

class RecordStore {
 public:
  static Result<std::unique_ptr<RecordStore>> open(const std::string& directory);

  // Everything is read and changed through this, one holder at a time among all processes.
  class Locked {
   public:
    const std::map<std::string, Record>& records() const { return store_->records_; }
    const Record* find(const std::string& pod_id) const;
    // The next free offset after the one given last, so that a freed one rests as long as possible.
    std::optional<std::uint32_t> find_free_offset(std::uint32_t first, std::uint32_t last) const;
    Status write(const Record& record);
    Status remove(const std::string& pod_id);  // absence is success

   private:
    friend class RecordStore;
    Locked(RecordStore& store, UniqueFd lock_file)
        : store_{&store}, guard_{store.mutex_}, file_{std::move(lock_file)} {}
    Status read_header();
    Status write_header();

    RecordStore* store_;
    std::unique_lock<std::mutex> guard_;
    UniqueFd file_;
  };
  Result<Locked> lock();
  // Files that hold no record (a power cut may leave an empty one): gone with the next garbage collection.
  std::vector<std::string> broken() const;

 private:
  explicit RecordStore(std::string directory) : directory_{std::move(directory)} {}
  Status reload();
  std::string path_of(const std::string& pod_id) const;

  std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, Record> records_;
  std::map<std::uint32_t, std::string> owners_;  // offset → pod id
  std::vector<std::string> broken_;
  std::uint64_t generation_ = 0;  // of records_; 0 = never read
  std::uint64_t last_offset_ = 0;
};

}  // namespace husk::netns
