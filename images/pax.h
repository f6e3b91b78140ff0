// PAX extended headers: "LENGTH KEY=VALUE\n" records, and what they say about an entry.
// Source: POSIX.1-2017 pax "pax Extended Header"; man 5 tar (libarchive).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "images/tar_reader.h"

namespace husk::images {

Result<PaxRecords> parse_pax_records(std::string_view text);

// path, linkpath, size, uid, gid, mtime, SCHILY.xattr.* (raw bytes), LIBARCHIVE.xattr.* (base64).
// Unknown keys are ignored, sparse ones are refused.
Status apply_pax_records(const PaxRecords& records, const UnpackLimits& limits, TarEntry& entry, std::uint64_t& size);

// "12.25" → {12, 250000000}; "-1.5" → {-2, 500000000}.
struct TarTime {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};
Result<TarTime> parse_pax_time(std::string_view text);

Result<std::string> decode_base64(std::string_view text);  // padding optional

}  // namespace husk::images
