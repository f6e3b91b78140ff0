#include "images/layer_store.h"

#include <mutex>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/garbage.h"
#include "images/layer_settle.h"
#include "images/layer_unpack.h"

namespace husk::images {
namespace {

constexpr std::size_t kReadBlock = 256U << 10U;

struct Slot {
  LayerSource source;
  std::string chain;  // "" until the diffIDs below are known
  LayerState state = LayerState::missing;
  std::unique_ptr<UnpackedLayer> unpacked;
};

class Batch;

class Sink final : public LayerSink {
 public:
  Sink(Batch& batch, std::size_t index, std::unique_ptr<LayerUnpack> unpack)
      : batch_{&batch}, index_{index}, unpack_{std::move(unpack)} {}
  Status write(std::string_view bytes) override { return unpack_->write(bytes); }
  Status finish() override;

 private:
  Batch* batch_;
  std::size_t index_;
  std::unique_ptr<LayerUnpack> unpack_;
};

class Batch final : public LayerBatch {
 public:
  Batch(const StoreParts& parts, std::vector<LayerSource> sources) : parts_{parts}, lease_{random_hex(8)} {
    for (auto& source : sources) slots_.push_back({.source = std::move(source)});
  }
  ~Batch() override;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  Status begin();
  std::size_t size() const override { return slots_.size(); }
  LayerState state(std::size_t index) const override {
    const std::lock_guard lock{mutex_};
    return slots_.at(index).state;
  }
  Result<std::unique_ptr<LayerSink>> start(std::size_t index) override;
  Status unpack_blob(std::size_t index) override;
  Result<std::vector<LayerResult>> commit() override;
  void keep(std::size_t index, std::unique_ptr<UnpackedLayer> layer);

 private:
  Status find_present(Connection& connection);
  Status pin(Connection& connection, const std::string& item);
  Status settle();
  Status publish(Connection& connection);
  Status publish_layer(Connection& connection, Slot& slot);

  StoreParts parts_;
  std::string lease_;
  mutable std::mutex mutex_;  // guards slots_
  std::vector<Slot> slots_;
};

Status Sink::finish() {
  auto layer = TRY(unpack_->finish());
  batch_->keep(index_, std::move(layer));
  return ok();
}

Batch::~Batch() {
  slots_.clear();
  const auto work = [&](Connection& connection) -> Status {
    auto statement = TRY(connection.prepare("DELETE FROM pins WHERE owner = ? AND lease = ?"));
    return statement.bind(parts_.dir.owner()).bind(lease_).run();
  };
  if (parts_.database.write(work, Database::Sync::no).has_value() && collect_garbage(parts_.database, parts_.dir).has_value())
    return;
  parts_.dir.leave_for_recovery();
}

Status Batch::pin(Connection& connection, const std::string& item) {
  auto statement = TRY(connection.prepare("INSERT OR IGNORE INTO pins (owner, lease, item) VALUES (?, ?, ?)"));
  return statement.bind(parts_.dir.owner()).bind(lease_).bind(item).run();
}

Status Batch::begin() {
  std::string below;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    auto& slot = slots_[i];
    if (!slot.source.digest.empty()) TRY(digest_hex(slot.source.digest));
    if (slot.source.diff_id.empty() && i + 1 < slots_.size())
      return Error{Kind::invalid, "only the top layer may come without a diffID"};
    if (slot.source.diff_id.empty()) continue;
    TRY(digest_hex(slot.source.diff_id));
    slot.chain = TRY(chain_id(below, slot.source.diff_id));
    below = slot.chain;
  }
  return parts_.database.write([&](Connection& connection) { return find_present(connection); }, Database::Sync::no);
}

Status Batch::find_present(Connection& connection) {
  for (auto& slot : slots_) {
    if (!slot.chain.empty()) {
      const auto hex = TRY(digest_hex(slot.chain));
      auto query = TRY(connection.prepare("SELECT diff_id FROM layers WHERE chain = ?"));
      const bool known = TRY(query.bind(slot.chain).step());
      // A row without its directory (a lost rename) is unpacked again.
      if (known && path_exists(parts_.dir.layer_path(hex) + "/fs")) slot.state = LayerState::ready;
      if (slot.state == LayerState::ready) TRY(pin(connection, layer_item(slot.chain)));
    }
    if (slot.source.digest.empty()) continue;
    const auto hex = TRY(digest_hex(slot.source.digest));
    auto query = TRY(connection.prepare("SELECT size FROM blobs WHERE digest = ?"));
    const bool known = TRY(query.bind(slot.source.digest).step());
    if (!known || !path_exists(parts_.dir.blob_path(hex))) continue;
    TRY(pin(connection, blob_item(slot.source.digest)));
    if (slot.state == LayerState::missing) slot.state = LayerState::blob_only;
  }
  return ok();
}

Result<std::unique_ptr<LayerSink>> Batch::start(std::size_t index) {
  LayerSource source;
  {
    const std::lock_guard lock{mutex_};
    source = slots_.at(index).source;
  }
  Expected expected{.digest = source.digest};
  if (!source.digest.empty() && source.size > 0) expected.size = source.size;
  auto blob = TRY(parts_.content.begin(std::move(expected)));
  auto unpack = TRY(LayerUnpack::create(parts_.dir, source, parts_.limits, std::move(blob)));
  std::unique_ptr<LayerSink> sink = std::make_unique<Sink>(*this, index, std::move(unpack));
  return sink;
}

Status Batch::unpack_blob(std::size_t index) {
  LayerSource source;
  {
    const std::lock_guard lock{mutex_};
    source = slots_.at(index).source;
  }
  const auto blob = TRY(parts_.content.open_blob(source.digest));
  const auto unpack = TRY(LayerUnpack::create(parts_.dir, source, parts_.limits, std::nullopt));
  std::string block(kReadBlock, '\0');
  for (;;) {
    const auto got = TRY(sys::read_some(blob.get(), block));
    if (got == 0) break;
    TRY(unpack->write(std::string_view{block}.substr(0, got)));
  }
  auto layer = TRY(unpack->finish().hint("the stored blob is damaged: remove the image and pull it again"));
  keep(index, std::move(layer));
  return ok();
}

void Batch::keep(std::size_t index, std::unique_ptr<UnpackedLayer> layer) {
  const std::lock_guard lock{mutex_};
  slots_.at(index).unpacked = std::move(layer);
}

Status Batch::settle() {
  std::vector<std::string> below;  // top first
  std::string below_chain;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    auto& slot = slots_[i];
    if (slot.state == LayerState::ready && slot.unpacked == nullptr) {
      const auto hex = TRY(digest_hex(slot.chain));
      below.insert(below.begin(), parts_.dir.layer_path(hex) + "/fs");
    } else {
      if (slot.unpacked == nullptr) return Error{Kind::wrong_state, format_text("layer {} was not unpacked", i + 1)};
      auto& layer = *slot.unpacked;
      if (slot.chain.empty()) slot.chain = TRY(chain_id(below_chain, layer.result.diff_id));
      layer.result.chain_id = slot.chain;
      const auto lower = TRY(MergedView::open(below));
      if (layer.tree.has_value())
        TRY(settle_layer(*layer.tree, lower, layer.usage).during(format_text("layer {} ({})", i + 1, layer.result.digest)));
      layer.tree.reset();
      below.insert(below.begin(), layer.directory + "/fs");
    }
    below_chain = slot.chain;
  }
  return ok();
}

Status Batch::publish_layer(Connection& connection, Slot& slot) {
  auto& layer = *slot.unpacked;
  const auto target = parts_.dir.layer_path(TRY(digest_hex(slot.chain)));
  TRY(pin(connection, layer_item(slot.chain)));
  TRY(pin(connection, blob_item(layer.result.digest)));
  if (layer.blob.has_value()) TRY(parts_.content.publish(connection, *layer.blob));
  auto query = TRY(connection.prepare("SELECT 1 FROM layers WHERE chain = ?"));
  const bool known = TRY(query.bind(slot.chain).step());
  if (known && path_exists(target + "/fs")) return ok();  // another one was faster: ours goes with the object
  TRY(parts_.dir.to_trash(target));  // a directory without a row is what a crash left
  TRY(sys::renameat2(AT_FDCWD, layer.directory, AT_FDCWD, target));
  layer.directory.clear();
  auto insert = TRY(connection.prepare("INSERT OR REPLACE INTO layers (chain, diff_id, bytes, inodes) VALUES (?, ?, ?, ?)"));
  return insert.bind(slot.chain)
      .bind(layer.result.diff_id)
      .bind(static_cast<std::int64_t>(layer.usage.bytes))
      .bind(static_cast<std::int64_t>(layer.usage.inodes))
      .run();
}

Status Batch::publish(Connection& connection) {
  for (auto& slot : slots_)
    if (slot.unpacked != nullptr) TRY(publish_layer(connection, slot));
  return sync_directory(parts_.dir.root() + "/layers");
}

Result<std::vector<LayerResult>> Batch::commit() {
  const std::lock_guard lock{mutex_};
  TRY(settle());
  bool fresh = false;
  for (const auto& slot : slots_) fresh = fresh || slot.unpacked != nullptr;
  if (fresh) {
    // One barrier for all files of all layers, before anything gets its final name: after a power cut
    // a layer is whole or absent (containerd#5854, #10457).
    const auto root = TRY(sys::openat(AT_FDCWD, parts_.dir.root(), O_RDONLY | O_DIRECTORY));
    TRY(sys::syncfs(root.get()));
    auto published = parts_.database.write([&](Connection& connection) { return publish(connection); });
    if (!published.has_value()) {
      if (!sweep_orphans(parts_.database, parts_.dir).has_value()) parts_.dir.leave_for_recovery();
      return std::move(published).error();
    }
    parts_.dir.empty_trash();
  }
  std::vector<LayerResult> results;
  for (auto& slot : slots_) {
    LayerResult result{.digest = slot.source.digest, .diff_id = slot.source.diff_id, .chain_id = slot.chain,
                       .media_type = slot.source.media_type, .size = slot.source.size};
    results.push_back(slot.unpacked != nullptr ? slot.unpacked->result : std::move(result));
  }
  return results;
}

class Layers final : public LayerStore {
 public:
  explicit Layers(const StoreParts& parts) : parts_{parts} {}
  Result<std::unique_ptr<LayerBatch>> begin(std::vector<LayerSource> sources) override {
    auto batch = std::make_unique<Batch>(parts_, std::move(sources));
    TRY(batch->begin());
    return std::unique_ptr<LayerBatch>{std::move(batch)};
  }

 private:
  StoreParts parts_;
};

}  // namespace

std::unique_ptr<LayerStore> make_layer_store(const StoreParts& parts) { return std::make_unique<Layers>(parts); }

Result<std::string> chain_id(const std::string& below, const std::string& diff_id) {
  if (below.empty()) return diff_id;
  return sha256_of(below + " " + diff_id);
}

}  // namespace husk::images
