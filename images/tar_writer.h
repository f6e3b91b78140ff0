// Writes tar: ustar headers, PAX records only where ustar cannot hold a value. Equal input gives
// equal bytes. Source: POSIX.1-2017 pax.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "images/decompress.h"
#include "images/tar_reader.h"

namespace husk::images {

class TarWriter {
 public:
  explicit TarWriter(ByteSink out) : out_{std::move(out)} {}
  // The name of a directory gets its trailing slash here. A file's `size` bytes follow through data().
  Status begin(const TarEntry& entry);
  Status data(std::string_view bytes);
  Status end();
  Status finish();  // two zero blocks
  std::uint64_t entries() const { return entries_; }

 private:
  Status header(const TarEntry& entry, const std::string& name, char type, std::uint64_t size);
  Status pad();
  ByteSink out_;
  std::uint64_t left_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t entries_ = 0;
};

// "27 path=a/very/long/name\n": the length counts itself.
std::string pax_record(std::string_view key, std::string_view value);

}  // namespace husk::images
