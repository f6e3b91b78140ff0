#include "images/archive.h"

#include <map>

#include "base/format.h"
#include "base/root_dir.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/entry_path.h"
#include "images/tar_number.h"
#include "images/tar_reader.h"

namespace husk::images {
namespace {

constexpr std::size_t kBlock = 256U << 10U;
constexpr int kMaxLinks = 16;

class DirectoryArchive final : public Archive {
 public:
  explicit DirectoryArchive(RootDir root) : root_{std::move(root)} {}
  bool has(const std::string& name) const override { return root_.open_path(name).has_value(); }
  Result<std::uint64_t> stream(const std::string& name, const ByteSink& out) const override {
    const auto fd = TRY(root_.open_file(name, O_RDONLY));
    const auto info = TRY(sys::fstat(fd.get()));
    TRY(stream_fd(fd.get(), out));
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  RootDir root_;
};

struct Member {
  std::uint64_t offset = 0;  // of the data
  std::uint64_t size = 0;
  std::string link;          // normalised target; "" = a file
};

class TarArchive final : public Archive {
 public:
  TarArchive(UniqueFd file, std::map<std::string, Member> members)
      : file_{std::move(file)}, members_{std::move(members)} {}
  bool has(const std::string& name) const override { return find(name) != nullptr; }
  Result<std::uint64_t> stream(const std::string& name, const ByteSink& out) const override {
    const auto* member = find(name);
    if (member == nullptr) return Error{Kind::not_found, format_text("the archive has no file {}", quote(name))};
    std::string block(kBlock, '\0');
    for (std::uint64_t done = 0; done < member->size;) {
      const auto want = std::min<std::uint64_t>(block.size(), member->size - done);
      const auto got = TRY(sys::pread_some(file_.get(), std::span{block}.first(want),
                                           static_cast<off_t>(member->offset + done)));
      if (got == 0) return Error{Kind::invalid, format_text("the archive ends inside {}", quote(name))};
      TRY(out(std::string_view{block}.substr(0, got)));
      done += got;
    }
    return member->size;
  }

 private:
  const Member* find(std::string name) const {
    for (int hops = 0; hops < kMaxLinks; ++hops) {
      const auto member = members_.find(name);
      if (member == members_.end()) return nullptr;
      if (member->second.link.empty()) return &member->second;
      name = member->second.link;
    }
    return nullptr;
  }
  UniqueFd file_;
  std::map<std::string, Member> members_;
};

// "a/../b" relative to a directory, without leaving the archive.
std::string resolve_link(const std::string& directory, const std::string& target) {
  Components parts = target.starts_with('/') ? Components{} : split_path(directory);
  for (const auto part : split(target, '/')) {
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.emplace_back(part);
  }
  return join_path(parts);
}

class Indexer final : public TarHandler {
 public:
  explicit Indexer(const UnpackLimits& limits) : limits_{limits} {}
  Status entry(const TarEntry& entry) override {
    auto parts = TRY(parse_entry_path(entry.name, limits_));
    if (parts.empty()) return ok();
    const auto path = join_path(parts);
    parts.pop_back();
    Member member;
    switch (entry.type) {
      case TarType::file: member = {.offset = reader->offset(), .size = entry.size}; break;
      // Older docker saves shared layers as symlinks ("../<other>/layer.tar").
      case TarType::symlink: member.link = resolve_link(join_path(parts), entry.link); break;
      case TarType::hard_link: member.link = resolve_link("", entry.link); break;
      default: return ok();
    }
    if (entry.type != TarType::file && member.link.empty()) return ok();
    members[path] = std::move(member);
    return ok();
  }
  Status data(std::string_view) override { return ok(); }
  Status end_of_entry() override { return ok(); }

  const TarReader* reader = nullptr;  // stands behind the entry's header when it calls us
  std::map<std::string, Member> members;

 private:
  UnpackLimits limits_;
};

// Ends the reading by an error of its own as soon as it knows.
class ContentTeller final : public TarHandler {
 public:
  explicit ContentTeller(const UnpackLimits& limits) : limits_{limits} {}
  Status entry(const TarEntry& entry) override {
    const auto parts = TRY(parse_entry_path(entry.name, limits_));
    if (parts.empty()) return ok();
    const auto& top = parts.front();
    const bool root_only = top == "etc" || top == "usr" || top == "bin";
    if (root_only || (parts.size() == 1 && (top == "oci-layout" || top == "manifest.json"))) {
      known = root_only ? TarContent::root_filesystem : TarContent::image_archive;
      return Error{Kind::cancelled, "known"};
    }
    return ok();
  }
  Status data(std::string_view) override { return ok(); }
  Status end_of_entry() override { return ok(); }
  std::optional<TarContent> known;

 private:
  UnpackLimits limits_;
};

}  // namespace

Result<TarContent> tell_content(int fd, Compression compression, const UnpackLimits& limits) {
  ContentTeller teller{limits};
  TarReader reader{teller, limits};
  const auto decompressor = TRY(make_decompressor(compression));
  const auto plain = [&](std::string_view bytes) { return reader.push(bytes); };
  auto done = stream_fd(fd, [&](std::string_view bytes) { return decompressor->push(bytes, plain); });
  if (teller.known.has_value()) return *teller.known;
  if (!done.has_value()) return std::move(done).error();
  TRY(decompressor->finish());
  TRY(reader.finish());
  return TarContent::root_filesystem;
}

Result<std::string> read_text(const Archive& archive, const std::string& name, std::size_t max_bytes) {
  std::string text;
  const auto append = [&](std::string_view bytes) -> Status {
    if (text.size() + bytes.size() > max_bytes)
      return Error{Kind::invalid, format_text("{} is larger than {} bytes", quote(name), max_bytes)};
    text.append(bytes);
    return ok();
  };
  TRY(archive.stream(name, append));
  return text;
}

Result<std::unique_ptr<Archive>> open_directory_archive(const std::string& path) {
  auto root = TRY(RootDir::open(path));
  std::unique_ptr<Archive> made = std::make_unique<DirectoryArchive>(std::move(root));
  return made;
}

Result<std::unique_ptr<Archive>> open_tar_archive(UniqueFd file, const UnpackLimits& limits) {
  Indexer indexer{limits};
  TarReader reader{indexer, limits};
  indexer.reader = &reader;
  std::string block(kTarBlock, '\0');
  while (!reader.at_end()) {
    const auto got = TRY(sys::pread_some(file.get(), block, static_cast<off_t>(reader.offset())));
    if (got == 0) break;
    TRY(reader.push(std::string_view{block}.substr(0, got)));
    if (reader.pending_file_data() > 0) reader.skip_data();
  }
  TRY(reader.finish());
  std::unique_ptr<Archive> made = std::make_unique<TarArchive>(std::move(file), std::move(indexer.members));
  return made;
}

Status stream_fd(int fd, const ByteSink& out) {
  std::string block(kBlock, '\0');
  for (;;) {
    const auto got = TRY(sys::read_some(fd, block));
    if (got == 0) return ok();
    TRY(out(std::string_view{block}.substr(0, got)));
  }
}

}  // namespace husk::images
