#include "images/decompress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <array>
#include <vector>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::size_t kBlock = 256U << 10U;  // ISA-L loses most of its gain below 64 KiB

// ISA-L and zstd take pointers without const; neither writes to its input.
std::uint8_t* input_pointer(std::string_view bytes) {
  return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(bytes.data()));  // NOLINT
}

class Plain final : public Decompressor {
 public:
  Status push(std::string_view bytes, const ByteSink& out) override { return out(bytes); }
  Status finish() override { return ok(); }
};

std::string_view inflate_reason(int code) {
  switch (code) {
    case ISAL_INVALID_BLOCK: return "invalid deflate block";
    case ISAL_INVALID_SYMBOL: return "invalid deflate symbol";
    case ISAL_INVALID_LOOKBACK: return "deflate distance points before the start";
    case ISAL_INVALID_WRAPPER: return "invalid gzip header";
    case ISAL_UNSUPPORTED_METHOD: return "unknown gzip method";
    case ISAL_INCORRECT_CHECKSUM: return "gzip checksum does not match";
    default: return "gzip data is damaged";
  }
}

// Members may follow one another (RFC 1952 section 2.2); zero bytes may pad the end, as tapes and
// gzip(1) have them; anything else after a member is an error.
class Gunzip final : public Decompressor {
 public:
  Gunzip() : out_(kBlock) {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  Status push(std::string_view bytes, const ByteSink& out) override {
    while (!bytes.empty()) {
      if (between_members_ && !TRY(begin_member(bytes))) return ok();
      bytes = TRY(inflate(bytes, out));
    }
    return ok();
  }

  Status finish() override {
    if (between_members_ && members_ > 0) return ok();
    return Error{Kind::invalid, format_text("gzip stream ends in the middle, after {} bytes", offset_)}.hint(
        "the download or the file is cut short");
  }

 private:
  // False: `bytes` is padding and used up.
  Result<bool> begin_member(std::string_view bytes) {
    if (padding_ || (members_ > 0 && bytes.front() == '\0')) {
      padding_ = true;
      const auto other = bytes.find_first_not_of('\0');
      offset_ += other == std::string_view::npos ? bytes.size() : other;
      if (other != std::string_view::npos) return garbage();
      return false;
    }
    if (members_ > 0 && static_cast<unsigned char>(bytes.front()) != 0x1f) return garbage();
    isal_inflate_reset(&state_);
    state_.crc_flag = ISAL_GZIP;
    between_members_ = false;
    return true;
  }

  Error garbage() const {
    return Error{Kind::invalid, format_text("garbage after the end of the gzip data, at byte {}", offset_)};
  }

  Result<std::string_view> inflate(std::string_view bytes, const ByteSink& out) {
    state_.next_in = input_pointer(bytes);
    state_.avail_in = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), 1U << 30U));
    const auto given = state_.avail_in;
    do {
      state_.next_out = out_.data();
      state_.avail_out = static_cast<std::uint32_t>(out_.size());
      const int code = isal_inflate(&state_);
      const auto at = offset_ + (given - state_.avail_in);
      if (code != ISAL_DECOMP_OK)
        return Error{Kind::invalid, format_text("{}, near byte {} of the gzip data", inflate_reason(code), at)};
      const auto made = out_.size() - state_.avail_out;
      if (made > 0) TRY(out({reinterpret_cast<const char*>(out_.data()), made}));  // NOLINT
    } while (state_.block_state != ISAL_BLOCK_FINISH && state_.avail_out == 0);
    // A full output block may also mean that more waits inside; the loop above drained that.
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      between_members_ = true;
      ++members_;
    }
    offset_ += given - state_.avail_in;
    return bytes.substr(given - state_.avail_in);
  }

  inflate_state state_{};
  std::vector<std::uint8_t> out_;
  std::uint64_t offset_ = 0;
  std::uint64_t members_ = 0;
  bool between_members_ = true;
  bool padding_ = false;
};

class Unzstd final : public Decompressor {
 public:
  Unzstd() : stream_{ZSTD_createDCtx()}, out_(kBlock) {}
  Unzstd(const Unzstd&) = delete;
  Unzstd& operator=(const Unzstd&) = delete;
  ~Unzstd() override { ZSTD_freeDCtx(stream_); }

  Status push(std::string_view bytes, const ByteSink& out) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = false;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer made{out_.data(), out_.size(), 0};
      pending_ = ZSTD_decompressStream(stream_, &made, &in);
      if (ZSTD_isError(pending_) != 0)
        return Error{Kind::invalid,
                     format_text("{}, near byte {} of the zstd data", ZSTD_getErrorName(pending_), offset_ + in.pos)};
      if (made.pos > 0) TRY(out({out_.data(), made.pos}));
      full = made.pos == made.size && pending_ != 0;
    }
    offset_ += bytes.size();
    return ok();
  }

  Status finish() override {
    if (pending_ == 0 && offset_ > 0) return ok();
    return Error{Kind::invalid, format_text("zstd stream ends in the middle, after {} bytes", offset_)}.hint(
        "the download or the file is cut short");
  }

 private:
  ZSTD_DCtx* stream_;  // its window is bounded: ZSTD_WINDOWLOG_LIMIT_DEFAULT is 128 MiB
  std::vector<char> out_;
  std::size_t pending_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace

Result<Compression> detect_compression(std::string_view first_bytes) {
  using namespace std::string_view_literals;
  if (first_bytes.starts_with("\x1f\x8b"sv)) return Compression::gzip;
  if (first_bytes.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
  // A skippable frame first: 0x184D2A50 to 0x184D2A5F, little endian (RFC 8878 section 3.1.2).
  if (first_bytes.size() >= 4 && first_bytes.substr(1, 3) == "\x2a\x4d\x18"sv &&
      (static_cast<unsigned char>(first_bytes[0]) & 0xf0U) == 0x50U)
    return Compression::zstd;
  const auto refuse = [](std::string_view name) {
    return Error{Kind::unsupported, format_text("the layer is compressed with {}", name)}.hint(
        "layers may be plain tar, gzip or zstd (image-spec layer.md)");
  };
  if (first_bytes.starts_with("\xfd"
                              "7zXZ"sv))
    return refuse("xz");
  if (first_bytes.starts_with("BZh"sv)) return refuse("bzip2");
  return Compression::none;
}

Status check_layer_type(const std::string& media_type) {
  if (oci::find_layer_type(media_type).has_value()) return ok();
  auto error = Error{Kind::unsupported, format_text("{} is not a type of file system layer", quote(media_type))};
  if (media_type.find("encrypted") != std::string::npos)
    return std::move(error).hint("encrypted images cannot be unpacked: pull one that is not encrypted");
  return std::move(error).hint("the reference may name an artifact that is no container image");
}

std::string media_type_of(Compression compression) {
  switch (compression) {
    case Compression::gzip: return std::string{oci::media_type::kLayerGzip};
    case Compression::zstd: return std::string{oci::media_type::kLayerZstd};
    case Compression::none: break;
  }
  return std::string{oci::media_type::kLayer};
}

Result<std::unique_ptr<Decompressor>> make_decompressor(Compression compression) {
  std::unique_ptr<Decompressor> made;
  switch (compression) {
    case Compression::none: made = std::make_unique<Plain>(); break;
    case Compression::gzip: made = std::make_unique<Gunzip>(); break;
    case Compression::zstd: made = std::make_unique<Unzstd>(); break;
  }
  return made;
}

struct GzipWriter::State {
  ByteSink out;
  isal_zstream stream{};
  std::vector<std::uint8_t> level_buffer = std::vector<std::uint8_t>(ISAL_DEF_LVL2_DEFAULT);
  std::vector<std::uint8_t> block = std::vector<std::uint8_t>(kBlock);
};

GzipWriter::GzipWriter(ByteSink out) : state_{std::make_unique<State>()} {
  state_->out = std::move(out);
  isal_deflate_init(&state_->stream);
  state_->stream.gzip_flag = IGZIP_GZIP;
  state_->stream.level = 2;
  state_->stream.level_buf = state_->level_buffer.data();
  state_->stream.level_buf_size = static_cast<std::uint32_t>(state_->level_buffer.size());
}

GzipWriter::~GzipWriter() = default;

Status GzipWriter::deflate(std::string_view bytes, bool last) {
  auto& stream = state_->stream;
  stream.next_in = input_pointer(bytes);
  stream.avail_in = static_cast<std::uint32_t>(bytes.size());
  stream.end_of_stream = last ? 1 : 0;
  stream.flush = NO_FLUSH;
  do {
    stream.next_out = state_->block.data();
    stream.avail_out = static_cast<std::uint32_t>(state_->block.size());
    if (const int code = isal_deflate(&stream); code != COMP_OK)
      return Error{Kind::internal, format_text("isal_deflate() failed with code {}", code)};
    const auto made = state_->block.size() - stream.avail_out;
    if (made > 0) TRY(state_->out({reinterpret_cast<const char*>(state_->block.data()), made}));  // NOLINT
  } while (stream.avail_out == 0);
  return ok();
}

Status GzipWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    TRY(deflate(bytes.substr(0, kBlock), false));
    bytes.remove_prefix(std::min(bytes.size(), kBlock));
  }
  return ok();
}

Status GzipWriter::finish() { return deflate({}, true); }

}  // namespace husk::images
