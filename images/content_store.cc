#include "images/content_store.h"

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/database.h"
#include "images/store_dir.h"

namespace husk::images {

Result<std::string> digest_hex(const std::string& digest) {
  constexpr std::string_view kPrefix = "sha256:";
  const auto colon = digest.find(':');
  if (colon == std::string::npos)
    return Error{Kind::invalid, format_text("{} is not a digest", quote(digest))}.hint("digests read sha256:<64 hex digits>");
  if (!digest.starts_with(kPrefix))
    return Error{Kind::unsupported, format_text("digest algorithm {} is not supported", quote(digest.substr(0, colon)))};
  const auto hex = digest.substr(kPrefix.size());
  if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
    return Error{Kind::invalid, format_text("{} is not a sha256 digest", quote(digest))};
  return hex;
}

BlobWriter::BlobWriter(UniqueFd fd, std::string path, Expected expected, Sha256 hash)
    : fd_{std::move(fd)}, path_{std::move(path)}, expected_{std::move(expected)}, hash_{std::move(hash)} {}

BlobWriter::~BlobWriter() {
  if (fd_.is_open()) (void)sys::unlinkat(AT_FDCWD, path_);  // published blobs have closed it
}

Status BlobWriter::write(std::string_view bytes) {
  size_ += bytes.size();
  if (expected_.size.has_value() && size_ > *expected_.size)
    return Error{Kind::invalid, format_text("the blob {} is longer than its {} bytes", expected_.digest, *expected_.size)};
  TRY(hash_.update(bytes));
  return sys::write_all(fd_.get(), bytes).during("write blob");
}

Result<std::string> BlobWriter::finish() {
  if (!digest_.empty()) return digest_;
  if (expected_.size.has_value() && size_ != *expected_.size)
    return Error{Kind::invalid, format_text("the blob {} has {} bytes, its descriptor says {}", expected_.digest, size_,
                                            *expected_.size)}
        .hint("the transfer was cut short or the registry is broken: try again");
  const auto digest = TRY(hash_.finish());
  if (!expected_.digest.empty() && digest != expected_.digest)
    return Error{Kind::invalid, format_text("the blob's digest is {}, expected {}", digest, expected_.digest)}.hint(
        "the content was damaged or changed on its way");
  digest_ = digest;
  return digest;
}

Result<BlobWriter> ContentStore::begin(Expected expected) {
  if (!expected.digest.empty()) TRY(digest_hex(expected.digest));
  auto hash = TRY(Sha256::create());
  const auto path = dir_->temporary_path("blob");
  auto fd = TRY(sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return BlobWriter{std::move(fd), path, std::move(expected), std::move(hash)};
}

Result<std::string> ContentStore::commit(BlobWriter writer) {
  const auto digest = TRY(writer.finish());
  TRY(sys::fdatasync(writer.fd_.get()));
  const auto work = [&](Connection& connection) { return publish(connection, writer); };
  TRY(database_->write(work));
  return digest;
}

Status ContentStore::publish(Connection& connection, BlobWriter& writer) {
  const auto hex = TRY(digest_hex(writer.digest_));
  // An equal blob that is there already is replaced by equal bytes, which repairs a damaged one.
  TRY(sys::renameat2(AT_FDCWD, writer.path_, AT_FDCWD, dir_->blob_path(hex)));
  writer.fd_.reset();
  TRY(sync_directory(dir_->root() + "/blobs/sha256"));
  auto insert = TRY(connection.prepare("INSERT OR REPLACE INTO blobs (digest, size) VALUES (?, ?)"));
  return insert.bind(writer.digest_).bind(static_cast<std::int64_t>(writer.size_)).run();
}

Result<bool> ContentStore::has(const std::string& digest) const {
  const auto path = dir_->blob_path(TRY(digest_hex(digest)));
  if (!path_exists(path)) return false;
  bool found = false;
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare("SELECT 1 FROM blobs WHERE digest = ?"));
    found = TRY(query.bind(digest).step());
    return ok();
  };
  TRY(database_->read(work));
  return found;
}

Result<UniqueFd> ContentStore::open_blob(const std::string& digest) const {
  const auto path = dir_->blob_path(TRY(digest_hex(digest)));
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW).during(format_text("open blob {}", digest));
}

Result<std::string> ContentStore::read_blob(const std::string& digest, std::size_t max_bytes) const {
  const auto fd = TRY(open_blob(digest));
  auto text = TRY(read_all(fd.get(), max_bytes));
  const auto found = TRY(sha256_of(text));
  if (found != digest)
    return Error{Kind::internal, format_text("the stored blob {} has the digest {}", digest, found)}.hint(
        "the disk or a person changed it: remove the image and pull it again");
  return text;
}

Status ContentStore::remove(const std::string& digest) {
  const auto hex = TRY(digest_hex(digest));
  const auto work = [&](Connection& connection) -> Status {
    auto statement = TRY(connection.prepare("DELETE FROM blobs WHERE digest = ?"));
    TRY(statement.bind(digest).run());
    return dir_->to_trash(dir_->blob_path(hex));
  };
  TRY(database_->write(work));
  dir_->empty_trash();
  return ok();
}

}  // namespace husk::images
