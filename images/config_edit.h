// Edits of image configurations that keep every member they do not touch, Docker's extensions and
// unknown ones included. Source: image-spec config.md; considerations.md#extensibility.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "images/tools.h"

namespace husk::images {

struct HistoryEntry {
  std::string created_by;
  std::string author;
  std::string comment;
};

// `diff_id` "" = no new layer (an empty_layer history entry). `created`: RFC 3339.
Result<std::string> edit_config(const std::string& config, const ConfigChanges& changes, const std::string& diff_id,
                                const std::string& created, const HistoryEntry& history);

// A configuration without layers for this machine, to be edited.
std::string empty_config();

// Now, or SOURCE_DATE_EPOCH when that is set (reproducible-builds.org/specs/source-date-epoch).
Result<std::optional<std::int64_t>> source_date_epoch();
std::string created_text(std::optional<std::int64_t> epoch);

}  // namespace husk::images
