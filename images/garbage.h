// Removes what nothing refers to. Rows go first, files after them, each under the database's write
// lock: a crash in between leaves files without rows, which sweep_orphans finds; never rows without
// files. Files leave by rename and are deleted outside the lock.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace husk::images {

class Database;
class StoreDir;

// Layers and blobs that no image, manifest, container or running operation needs.
Status collect_garbage(Database& database, const StoreDir& dir);

// Files and directories of layers/ and blobs/ without a row. Needed after a crash or a failed commit.
Status sweep_orphans(Database& database, const StoreDir& dir);

// Pins of owners that no longer exist.
Status drop_dead_pins(Database& database, const std::vector<std::string>& living_owners);

inline std::string layer_item(const std::string& chain) { return "layer:" + chain; }
inline std::string blob_item(const std::string& digest) { return "blob:" + digest; }

}  // namespace husk::images
