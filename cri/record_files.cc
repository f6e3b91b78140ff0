#include "cri/record_files.h"

#include "base/format.h"
#include "base/sys.h"
#include "oci-spec/json.h"

namespace husk::cri {
namespace {

constexpr std::string_view kSuffix = ".json";
constexpr std::size_t kMaxRecord = oci::JsonLimits{}.max_bytes;  // what decoding takes

}  // namespace

Result<RecordFiles> RecordFiles::open(const std::string& directory) {
  TRY(make_directories(directory, 0700));
  auto fd = TRY(sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return RecordFiles{std::move(fd)};
}

Result<std::vector<RecordFiles::Stored>> RecordFiles::read_all() const {
  std::vector<Stored> all;
  const auto entries = TRY(sys::list_dir(directory_.get()));
  for (const auto& entry : entries) {
    if (is_temporary(entry.name)) TRY(sys::unlinkat(directory_.get(), entry.name));
    if (!entry.name.ends_with(kSuffix)) continue;
    Stored stored{.id = entry.name.substr(0, entry.name.size() - kSuffix.size()), .text = {}};
    stored.text = TRY(read_file_at(directory_.get(), entry.name, kMaxRecord));
    all.push_back(std::move(stored));
  }
  return all;
}

Status RecordFiles::write(const std::string& id, std::string_view text, Durable durable) const {
  // Text of a request can grow six times in JSON. What no later huskd could read must not be written.
  if (text.size() > kMaxRecord)
    return Error{Kind::invalid, format_text("the record of {} would have {} bytes, at most {} can be read again", id, text.size(), kMaxRecord)}
        .hint("shorten labels and annotations");
  return write_atomically(directory_.get(), id + std::string{kSuffix}, text, 0600, durable);
}

Status RecordFiles::remove(const std::string& id) const {
  const auto removed = sys::unlinkat(directory_.get(), id + std::string{kSuffix});
  if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed;
  return sys::fsync(directory_.get());
}

Status RecordFiles::set_aside(const std::string& id) const {
  return sys::renameat2(directory_.get(), id + std::string{kSuffix}, directory_.get(), id + ".damaged");
}

}  // namespace husk::cri
