// Compiled seccomp filters, kept for all containers of one --root: compiling a usual profile takes longer than the
// rest of create. An entry holds its whole key (everything that the compiler looked at), which is compared byte for
// byte, so no two profiles can be mixed up whatever their file's name is. A cache that cannot be read or written
// costs time and nothing else.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "seccomp/compile.h"

namespace husk::runtime {

class SeccompCache {
 public:
  // `directory`: made when it is needed, 0700; entries belong to us, 0600.
  explicit SeccompCache(std::string directory) : directory_{std::move(directory)} {}
  // The kept filter, or one compiled now, and kept.
  Result<SeccompFilter> get(const oci::Seccomp& profile) const;

 private:
  std::string directory_;
};

// What decides the filter: the profile in canonical form, husk's version, libseccomp, the machine. Pure; an entry's
// key has the size and time of husk's own file behind it.
std::string seccomp_key(const oci::Seccomp& profile);
std::string seccomp_entry_name(std::string_view key);
// One entry: header, key, program, checksum. decode: nullopt unless all of it is whole and of that key.
std::string encode_filter(std::string_view key, const SeccompFilter& filter);
std::optional<SeccompFilter> decode_filter(std::string_view key, std::string_view entry);

}  // namespace husk::runtime
