// Bounds on what one layer may cost. None of the peers has them (CVE-2017-14992).
#pragma once

#include <cstddef>
#include <cstdint>

namespace husk::images {

struct UnpackLimits {
  std::uint64_t max_bytes = 128ULL << 30U;         // of the tar, decompressed
  std::uint64_t max_entries = 4'000'000;           // files, directories, links
  std::uint64_t max_ratio = 300;                   // decompressed : compressed …
  std::uint64_t ratio_free_bytes = 1ULL << 30U;    // … counted beyond the first GiB
  std::size_t max_path_bytes = 32U << 10U;
  std::size_t max_depth = 256;                     // directories on a path; removal holds one fd each
  std::size_t max_header_bytes = 1U << 20U;        // the PAX and GNU long-name headers of one entry together
  std::size_t max_xattr_bytes = 256U << 10U;       // names and values of one entry
  std::size_t max_xattrs = 1024;                   // of one entry; listxattr(2) could not list many more
  std::size_t max_note_bytes = 512U << 20U;        // memory for paths that wait for the end of the layer
};

}  // namespace husk::images
