// Records on disk: one JSON file each, replaced atomically.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::cri {

class RecordFiles {
 public:
  static Result<RecordFiles> open(const std::string& directory);

  struct Stored {
    std::string id;
    std::string text;
  };
  // For the one that owns the directory, before anybody writes: what a killed writer left half-written is removed.
  Result<std::vector<Stored>> read_all() const;
  Status write(const std::string& id, std::string_view text, Durable durable) const;
  Status remove(const std::string& id) const;  // durable; absence is success
  // Puts a file that cannot be read aside as "<id>.damaged": nothing is thrown away.
  Status set_aside(const std::string& id) const;

 private:
  explicit RecordFiles(UniqueFd directory) : directory_{std::move(directory)} {}
  UniqueFd directory_;
};

}  // namespace husk::cri
