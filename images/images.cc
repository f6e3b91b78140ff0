#include "images/images.h"

#include <algorithm>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "images/config_edit.h"
#include "images/containers.h"
#include "images/entry_path.h"
#include "images/garbage.h"
#include "images/import.h"
#include "images/new_layer.h"
#include "images/pull.h"
#include "images/reference.h"
#include "images/tools.h"

namespace husk::images {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

// The composition root of the store: owns the parts, gives each what it needs.
class Store final : public ImageTools {
 public:
  Store(std::unique_ptr<StoreDir> dir, std::unique_ptr<Database> database, const StoreOptions& options)
      : dir_{std::move(dir)},
        database_{std::move(database)},
        content_{*dir_, *database_},
        parts_{.dir = *dir_, .database = *database_, .content = content_, .limits = {}},
        layers_{make_layer_store(parts_)},
        images_{*database_},
        containers_{parts_},
        puller_{*layers_, images_, options} {}

  void recover_after_crash();

  Result<std::vector<Image>> list() override { return images_.list(); }
  Result<std::optional<Image>> find(const std::string& reference) override;
  Status tag(const std::string& reference, const std::string& new_tag) override;
  Status remove(const std::string& reference) override;
  Status untag(const std::string& reference) override;
  Status set_pinned(const std::string& reference, bool pinned) override;
  Result<FsUsage> usage() override;

  Result<std::string> pull(const std::string& reference, const PullOptions& options) override {
    return puller_.pull(reference, options);
  }
  Result<std::string> import(const std::string& path, const std::string& name) override {
    return import_with(path, name, {});
  }
  Result<std::string> import_with(const std::string& path, const std::string& name, const ConfigChanges& changes) override {
    return Importer{parts_, *layers_, images_}.run(path, name, changes);
  }
  Result<std::string> config_text(const std::string& image_id) override { return images_.config_text(image_id); }

  Result<ContainerRootfs> prepare_container(const std::string& key, const std::string& image_id) override {
    return containers_.prepare(key, image_id, Containers::Use::container);
  }
  Result<ContainerRootfs> prepare_bundle(const std::string& key, const std::string& image_id) override {
    return containers_.prepare(key, image_id, Containers::Use::bundle);
  }
  Result<ContainerRootfs> mount_container(const std::string& key) override { return containers_.mount(key); }
  Status release_container(const std::string& key) override { return containers_.release(key); }
  Result<std::vector<std::string>> container_keys() override { return containers_.keys(Containers::Use::container); }
  Result<std::vector<std::string>> view_keys() override { return containers_.keys(Containers::Use::view); }
  Result<FsUsage> container_usage(const std::string& key) override { return containers_.usage(key); }
  Result<std::string> mount_image(const std::string& image_id, const std::string& key) override {
    return containers_.mount_image(image_id, key);
  }
  Status unmount_image(const std::string& key) override { return containers_.release(key); }
  Result<std::string> commit(const std::string& key, const std::string& name) override {
    return commit_with(key, name, {});
  }
  Result<std::string> commit_with(const std::string& key, const std::string& name, const CommitOptions& options) override;
  Result<std::vector<View>> views() override;

 private:
  Status recover();
  Result<Image> require_image(const std::string& reference);

  std::unique_ptr<StoreDir> dir_;
  std::unique_ptr<Database> database_;
  ContentStore content_;
  StoreParts parts_;
  std::unique_ptr<LayerStore> layers_;
  ImageStore images_;
  Containers containers_;
  Puller puller_;
};

// After a crash of a process that used this store: its pins, files without rows, half-made containers.
Status Store::recover() {
  const auto owners = TRY(dir_->owners());
  TRY(drop_dead_pins(*database_, owners));
  TRY(collect_garbage(*database_, *dir_));
  TRY(sweep_orphans(*database_, *dir_));
  return containers_.sweep();
}

void Store::recover_after_crash() {
  if (dir_->dead_owners().empty()) return;
  // A full disk can stop this too; the store is usable all the same, and the next open tries again.
  const auto done = recover();
  if (done.has_value()) return;
  dir_->leave_for_recovery();
  log::debug(format_text("recover the image store: {}", done.error().to_string()));
}

Result<std::optional<Image>> Store::find(const std::string& reference) {
  if (reference.starts_with("sha256:")) {
    const auto hex = digest_hex(reference);
    if (hex.has_value()) return images_.find_by_id(reference);
    return images_.find_by_prefix(reference.substr(7));
  }
  const bool hex = !reference.empty() && reference.find_first_not_of(kHex) == std::string::npos;
  if (hex && reference.size() == 64) return images_.find_by_id("sha256:" + reference);
  auto name = parse_reference(reference);
  if (name.has_value()) {
    const auto& parsed = name.value();
    auto found = TRY(images_.find_by_name(parsed.digest.empty() ? parsed.tagged() : parsed.digested()));
    if (found.has_value()) return found;
  }
  if (hex) return images_.find_by_prefix(reference);
  if (!name.has_value()) return std::move(name).error();
  return std::optional<Image>{};
}

Result<Image> Store::require_image(const std::string& reference) {
  auto found = TRY(find(reference));
  if (!found.has_value())
    return Error{Kind::not_found, format_text("no image {}", quote(reference))}.hint(
        "husk-image list shows what is here, husk-image pull or import brings more");
  return std::move(*found);
}

Status Store::tag(const std::string& reference, const std::string& new_tag) {
  const auto image = TRY(require_image(reference));
  const auto name = TRY(parse_reference(new_tag));
  if (!name.digest.empty())
    return Error{Kind::invalid, format_text("{} is a digest reference, not a tag", quote(new_tag))};
  return images_.add_name(image.id, name.tagged());
}

Status Store::remove(const std::string& reference) {
  const auto image = TRY(find(reference));
  if (!image.has_value()) return ok();
  TRY(images_.remove_image(image->id));
  return collect_garbage(*database_, *dir_);
}

Status Store::untag(const std::string& reference) {
  const auto image = TRY(require_image(reference));
  const auto name = parse_reference(reference);
  const auto text = !name.has_value() ? std::string{}
                    : name.value().digest.empty() ? name.value().tagged() : name.value().digested();
  const auto is_name = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), text) != names.end();
  };
  if (is_name(image.repo_tags) || is_name(image.repo_digests)) {
    TRY(images_.remove_name(text));
    return collect_garbage(*database_, *dir_);
  }
  // By id: only when that is not ambiguous.
  if (image.repo_tags.size() > 1)
    return Error{Kind::wrong_state, format_text("image {} has {} names", quote(reference), image.repo_tags.size())}.hint(
        "remove them one by one: " + join(image.repo_tags, ", "));
  TRY(images_.remove_image(image.id));
  return collect_garbage(*database_, *dir_);
}

Status Store::set_pinned(const std::string& reference, bool pinned) {
  const auto image = TRY(require_image(reference));
  return images_.set_pinned(image.id, pinned);
}

Result<FsUsage> Store::usage() {
  FsUsage usage{.mountpoint = dir_->root()};
  const auto work = [&](Connection& connection) -> Status {
    // Kept at unpacking: no walk over the files.
    auto query = TRY(connection.prepare(
        "SELECT (SELECT coalesce(sum(bytes), 0) FROM layers) + (SELECT coalesce(sum(size), 0) FROM blobs), "
        "(SELECT coalesce(sum(inodes), 0) FROM layers) + (SELECT count(*) FROM blobs)"));
    const bool row = TRY(query.step());
    if (!row) return ok();
    usage.used_bytes = static_cast<std::uint64_t>(query.number(0));
    usage.inodes_used = static_cast<std::uint64_t>(query.number(1));
    return ok();
  };
  TRY(database_->read(work));
  return usage;
}

Result<std::vector<View>> Store::views() {
  const auto records = TRY(containers_.views());
  std::vector<View> views;
  for (const auto& [key, record] : records) views.push_back({.key = key, .image_id = record.image});
  return views;
}

Result<std::string> Store::commit_with(const std::string& key, const std::string& name, const CommitOptions& options) {
  const auto reference = TRY(parse_reference(name));
  if (!reference.digest.empty()) return Error{Kind::invalid, format_text("{} is a digest reference, not a tag", quote(name))};
  const auto record = TRY(containers_.find(key));
  if (!record.has_value() || record->use == Containers::Use::view) return Error{Kind::not_found, format_text("no container {}", quote(key))};
  const auto base = TRY(load_base(images_, record->image));
  const auto paths = TRY(containers_.layer_paths(*record));
  const auto lower = TRY(MergedView::open(paths));
  LayerWriteOptions write{.lower = &lower};
  write.latest_time = TRY(source_date_epoch());
  for (const auto& target : options.mount_targets) {
    const auto parts = parse_entry_path(target, parts_.limits);
    if (parts.has_value()) write.mount_targets.push_back(join_path(parts.value()));
  }
  const ImageChange change{.changes = options.changes,
                           .created_by = "husk-image commit",
                           .author = options.author,
                           .comment = options.comment,
                           .tag = reference.tagged()};
  const auto upper = dir_->container_path(key) + "/upper";
  return record_with_layer(*layers_, images_, base, directory_feed(upper, write), change)
      .during(format_text("commit {}", quote(key)));
}

}  // namespace

Result<std::unique_ptr<ImageTools>> open_tools(const StoreOptions& options) {
  auto dir = TRY(StoreDir::open(options.root).during(format_text("open image store {}", quote(options.root))));
  auto gate = TRY(dir->lock_gate());  // turning a new file into WAL mode is no matter for two at once
  auto database = TRY(Database::open(dir->root() + "/images.db"));
  gate.reset();
  auto store = std::make_unique<Store>(std::move(dir), std::move(database), options);
  store->recover_after_crash();
  return std::unique_ptr<ImageTools>{std::move(store)};
}

Result<std::unique_ptr<Images>> open(const StoreOptions& options) {
  auto tools = TRY(open_tools(options));
  return std::unique_ptr<Images>{std::move(tools)};
}

}  // namespace husk::images
