// The LayerStore of layer_sink.h over the store's directories and database.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "images/content_store.h"
#include "images/database.h"
#include "images/layer_sink.h"
#include "images/store_dir.h"
#include "images/unpack_limits.h"

namespace husk::images {

struct StoreParts {  // borrowed; owned by the composition (images.cc, tests)
  StoreDir& dir;
  Database& database;
  ContentStore& content;
  UnpackLimits limits;
};
std::unique_ptr<LayerStore> make_layer_store(const StoreParts& parts);

// ChainID: C0 = D0, Cn = SHA256(C(n-1) + " " + Dn). `below` is "" for the bottom layer.
// Source: image-spec config.md "Layer ChainID".
Result<std::string> chain_id(const std::string& below, const std::string& diff_id);

}  // namespace husk::images
