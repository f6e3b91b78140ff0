// A tar stream, pushed in blocks of any size, becomes calls to a TarHandler. Reads ustar, V7, GNU
// long names and base-256 numbers, PAX with binary xattrs; checks global headers and does not apply
// them, as every peer (Go's archive/tar) does; refuses sparse and multi-volume members by name. Every error names the byte offset of the header it is about.
// Source: POSIX.1-2017 pax "ustar Interchange Format", "pax Interchange Format"; GNU tar manual
// "Basic Tar Format"; man 5 tar (libarchive) for SCHILY and LIBARCHIVE keys.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "images/unpack_limits.h"

namespace husk::images {

enum class TarType : std::uint8_t { file, hard_link, symlink, char_device, block_device, directory, fifo };

struct TarEntry {
  std::string name;  // as written: may hold "./", "/", "..", any byte but NUL
  TarType type = TarType::file;
  mode_t mode = 0;  // permission, set-id and sticky bits only
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;  // of a file's data
  std::int64_t mtime = 0;  // seconds; may be negative
  std::uint32_t mtime_ns = 0;
  std::string link;  // target of links
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::uint64_t offset = 0;  // of the header in the tar
};

using PaxRecords = std::map<std::string, std::string, std::less<>>;

class TarHandler {
 public:
  virtual ~TarHandler() = default;
  virtual Status entry(const TarEntry& entry) = 0;
  virtual Status data(std::string_view bytes) = 0;  // of the file entry before, in order
  virtual Status end_of_entry() = 0;                // after the data; also of entries without data
};

class TarReader {
 public:
  TarReader(TarHandler& handler, const UnpackLimits& limits) : handler_{&handler}, limits_{limits} {}
  Status push(std::string_view bytes);
  // Error when the stream ended inside an entry. A missing end-of-archive block is accepted, as GNU
  // tar and all peers do.
  Status finish();

  // For an index over a file: how many bytes of data come next, and that the caller jumps over them.
  std::uint64_t pending_file_data() const { return state_ == State::data ? data_left_ : 0; }
  void skip_data();
  std::uint64_t offset() const { return offset_; }
  bool at_end() const { return state_ == State::end; }

 private:
  enum class State : std::uint8_t { header, extension, data, padding, end };

  Status take_header();
  Status take_extension();
  Status begin_extension(char type, std::uint64_t size);
  Status begin_entry(char type, std::uint64_t size);
  Status deliver(TarEntry entry, std::uint64_t size);
  Status apply_records(const PaxRecords& records, TarEntry& entry, std::uint64_t& size);
  Status end_data();
  Error bad(std::string what) const;

  TarHandler* handler_;
  UnpackLimits limits_;
  State state_ = State::header;
  std::string block_;              // header or extension bytes so far
  std::uint64_t offset_ = 0;       // of the next byte
  std::uint64_t header_offset_ = 0;
  std::uint64_t entry_offset_ = 0;  // of the first header (extensions included) of the entry
  std::uint64_t data_left_ = 0;
  std::uint64_t padding_left_ = 0;
  std::uint64_t entries_ = 0;
  char extension_type_ = 0;
  bool pending_extension_ = false;  // an extension came, its entry did not yet
  std::uint64_t extension_bytes_ = 0;  // of all of them
  PaxRecords local_;
  std::optional<std::string> long_name_;
  std::optional<std::string> long_link_;
  int zero_blocks_ = 0;
};

}  // namespace husk::images
