#include "images/image_store.h"

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/format.h"
#include "base/text.h"
#include "images/content_store.h"
#include "images/database.h"
#include "images/layer_store.h"
#include "images/sha256.h"
#include "oci-spec/parse_image.h"

namespace husk::images {
namespace {

ImageConfig from_oci(const oci::ImageConfig& image) {
  const auto& config = image.config;
  return {.user = config.user,
          .env = config.env,
          .entrypoint = config.entrypoint,
          .cmd = config.cmd,
          .volumes = config.volumes,
          .working_dir = config.working_dir,
          .stop_signal = config.stop_signal,
          .labels = config.labels,
          .exposed_ports = config.exposed_ports};
}

// What record() writes, worked out and checked before the transaction.
struct Prepared {
  std::string id;
  std::string manifest_digest;
  std::uint64_t size = 0;
  std::string created;
  std::vector<std::string> chains;
  std::vector<std::string> blobs;
};

Result<Prepared> prepare(const NewImage& image) {
  const auto manifest = TRY(oci::parse_manifest(image.manifest));
  const auto config = TRY(oci::parse_image_config(image.config));
  TRY(oci::check_image_pair(manifest, config));
  Prepared made;
  made.id = TRY(sha256_of(image.config));
  if (made.id != manifest.config.digest.text())
    return Error{Kind::invalid, format_text("the config's digest is {}, the manifest says {}", made.id,
                                            manifest.config.digest.text())};
  made.manifest_digest = TRY(sha256_of(image.manifest));
  made.created = config.created;
  made.size = image.config.size();
  for (const auto& layer : manifest.layers) {
    made.size += layer.size;
    made.blobs.push_back(layer.digest.text());
  }
  std::string below;
  for (const auto& diff_id : config.diff_ids) {
    below = TRY(chain_id(below, diff_id.text()));
    made.chains.push_back(below);
  }
  return made;
}

Status write_image(Connection& connection, const NewImage& image, const Prepared& made) {
  for (const auto& chain : made.chains) {
    auto query = TRY(connection.prepare("SELECT 1 FROM layers WHERE chain = ?"));
    const bool found = TRY(query.bind(chain).step());
    if (!found) return Error{Kind::wrong_state, format_text("layer {} is not unpacked", chain)};
  }
  const auto now = now_unix_ns();
  auto insert = TRY(connection.prepare(
      "INSERT INTO images (id, config, size, created, added) VALUES (?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET removed = 0"));
  TRY(insert.bind(made.id).bind(image.config).bind(static_cast<std::int64_t>(made.size)).bind(made.created).bind(now).run());
  auto manifest = TRY(connection.prepare(
      "INSERT OR IGNORE INTO manifests (digest, image, bytes, added) VALUES (?, ?, ?, ?)"));
  TRY(manifest.bind(made.manifest_digest).bind(made.id).bind(image.manifest).bind(now).run());
  for (const auto& blob : made.blobs) {
    auto statement = TRY(connection.prepare("INSERT OR IGNORE INTO manifest_blobs (manifest, digest) VALUES (?, ?)"));
    TRY(statement.bind(made.manifest_digest).bind(blob).run());
  }
  std::int64_t position = 0;
  for (const auto& chain : made.chains) {
    auto statement = TRY(connection.prepare("INSERT OR IGNORE INTO image_layers (image, position, chain) VALUES (?, ?, ?)"));
    TRY(statement.bind(made.id).bind(position++).bind(chain).run());
  }
  return ok();
}

Status write_name(Connection& connection, const std::string& name, const std::string& id) {
  auto statement = TRY(connection.prepare("INSERT OR REPLACE INTO names (name, image) VALUES (?, ?)"));
  return statement.bind(name).bind(id).run();
}

// Takes the image away, or hides it while containers use it.
Status drop_image(Connection& connection, const std::string& id) {
  auto names = TRY(connection.prepare("DELETE FROM names WHERE image = ?"));
  TRY(names.bind(id).run());
  auto hide = TRY(connection.prepare("UPDATE images SET removed = 1, pinned = 0 WHERE id = ?"));
  TRY(hide.bind(id).run());
  return ImageStore::drop_removed(connection);
}

bool is_tag(const std::string& name) { return name.find('@') == std::string::npos; }

// "docker.io/library/busybox" of a tag or a digest reference.
std::string repository_of(const std::string& name) {
  if (const auto at = name.find('@'); at != std::string::npos) return name.substr(0, at);
  const auto colon = name.rfind(':');
  return name.substr(0, colon);
}

Result<std::vector<std::string>> names_of(Connection& connection, const std::string& id) {
  std::vector<std::string> names;
  auto query = TRY(connection.prepare("SELECT name FROM names WHERE image = ? ORDER BY name"));
  query.bind(id);
  while (TRY(query.step())) names.push_back(query.text(0));
  return names;
}

Status drop_name(Connection& connection, const std::string& name) {
  auto query = TRY(connection.prepare("SELECT image FROM names WHERE name = ?"));
  const bool found = TRY(query.bind(name).step());
  if (!found) return ok();
  const auto id = query.text(0);
  auto statement = TRY(connection.prepare("DELETE FROM names WHERE name = ?"));
  TRY(statement.bind(name).run());
  const auto left = TRY(names_of(connection, id));
  const bool was_tag = is_tag(name);
  const bool has_tags = std::any_of(left.begin(), left.end(), is_tag);
  // The image goes with its last tag, even if the digest it was pulled by is still written down.
  if (left.empty() || (was_tag && !has_tags)) return drop_image(connection, id);
  if (!was_tag) return ok();
  const auto repository = repository_of(name);
  const bool other_tag = std::any_of(left.begin(), left.end(), [&](const std::string& other) {
    return is_tag(other) && repository_of(other) == repository;
  });
  if (other_tag) return ok();
  for (const auto& other : left) {
    if (is_tag(other) || repository_of(other) != repository) continue;
    auto gone = TRY(connection.prepare("DELETE FROM names WHERE name = ?"));
    TRY(gone.bind(other).run());
  }
  return ok();
}

Result<std::vector<Image>> load(Connection& connection, const std::string& where, const std::string& value) {
  std::vector<Image> images;
  auto rows = TRY(connection.prepare("SELECT id, config, size, created, pinned FROM images WHERE removed = 0 AND " + where +
                                     " ORDER BY added, id"));
  if (where.find('?') != std::string::npos) rows.bind(value);
  std::map<std::string, std::size_t> places;
  while (TRY(rows.step())) {
    Image image{.id = rows.text(0), .size_bytes = static_cast<std::uint64_t>(rows.number(2))};
    image.created = rows.text(3);
    image.pinned = rows.number(4) != 0;
    const auto config = TRY(oci::parse_image_config(rows.text(1)).during(format_text("config of image {}", image.id)));
    image.config = from_oci(config);
    places[image.id] = images.size();
    images.push_back(std::move(image));
  }
  // One pass over the other tables, however many images there are; by key when there is one.
  const std::string by_image = images.size() == 1 ? " WHERE image = ?" : "";
  auto names = TRY(connection.prepare("SELECT image, name FROM names" + by_image + " ORDER BY name"));
  auto layers = TRY(connection.prepare("SELECT image, chain FROM image_layers" + by_image + " ORDER BY image, position"));
  if (images.size() == 1) {
    names.bind(images.front().id);
    layers.bind(images.front().id);
  }
  while (TRY(names.step())) {
    const auto place = places.find(names.text(0));
    if (place == places.end()) continue;
    auto& image = images[place->second];
    const auto name = names.text(1);
    (is_tag(name) ? image.repo_tags : image.repo_digests).push_back(name);
  }
  while (TRY(layers.step())) {
    const auto place = places.find(layers.text(0));
    if (place != places.end()) images[place->second].layer_chain_ids.push_back(layers.text(1));
  }
  return images;
}

Result<std::optional<Image>> one(Database& database, const std::string& where, const std::string& value) {
  std::vector<Image> found;
  const auto work = [&](Connection& connection) -> Status {
    found = TRY(load(connection, where, value));
    return ok();
  };
  TRY(database.read(work));
  if (found.empty()) return std::optional<Image>{};
  if (found.size() > 1)
    return Error{Kind::invalid, format_text("{} is the beginning of {} image ids", quote(value), found.size())}.hint(
        "give more digits of the id");
  return std::optional<Image>{std::move(found.front())};
}

Result<std::string> one_text(Database& database, const char* sql, const std::string& id) {
  std::string text;
  bool found = false;
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare(sql));
    found = TRY(query.bind(id).step());
    if (found) text = query.text(0);
    return ok();
  };
  TRY(database.read(work));
  if (!found) return Error{Kind::not_found, format_text("no image {}", quote(id))};
  return text;
}

}  // namespace

Result<std::string> ImageStore::record(const NewImage& image) {
  const auto made = TRY(prepare(image));
  const auto work = [&](Connection& connection) -> Status {
    TRY(write_image(connection, image, made));
    for (const auto& name : image.tags) TRY(write_name(connection, name, made.id));
    for (const auto& name : image.repo_digests) TRY(write_name(connection, name, made.id));
    return ok();
  };
  TRY(database_->write(work));
  return made.id;
}

Result<std::vector<Image>> ImageStore::list() const {
  std::vector<Image> images;
  const auto work = [&](Connection& connection) -> Status {
    images = TRY(load(connection, "1", ""));
    return ok();
  };
  TRY(database_->read(work));
  return images;
}

Result<std::optional<Image>> ImageStore::find_by_id(const std::string& id) const { return one(*database_, "id = ?", id); }

Result<std::optional<Image>> ImageStore::find_by_name(const std::string& name) const {
  return one(*database_, "id = (SELECT image FROM names WHERE name = ?)", name);
}

Result<std::optional<Image>> ImageStore::find_by_prefix(const std::string& hex) const {
  if (hex.empty() || hex.size() > 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::optional<Image>{};
  // Hex digits are no LIKE or GLOB patterns.
  return one(*database_, "id GLOB 'sha256:' || ? || '*'", hex);
}

Result<std::string> ImageStore::config_text(const std::string& id) const {
  return one_text(*database_, "SELECT config FROM images WHERE id = ?", id);
}

Result<std::string> ImageStore::manifest_text(const std::string& id) const {
  return one_text(*database_, "SELECT bytes FROM manifests WHERE image = ? ORDER BY added, digest LIMIT 1", id);
}

Status ImageStore::add_name(const std::string& id, const std::string& name) {
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare("SELECT 1 FROM images WHERE id = ? AND removed = 0"));
    const bool found = TRY(query.bind(id).step());
    if (!found) return Error{Kind::not_found, format_text("no image {}", quote(id))};
    return write_name(connection, name, id);
  };
  return database_->write(work);
}

Status ImageStore::remove_image(const std::string& id) {
  return database_->write([&](Connection& connection) { return drop_image(connection, id); });
}

Status ImageStore::remove_name(const std::string& name) {
  return database_->write([&](Connection& connection) { return drop_name(connection, name); });
}

Status ImageStore::set_pinned(const std::string& id, bool pinned) {
  const auto work = [&](Connection& connection) -> Status {
    auto statement = TRY(connection.prepare("UPDATE images SET pinned = ? WHERE id = ?"));
    return statement.bind(pinned ? std::int64_t{1} : std::int64_t{0}).bind(id).run();
  };
  return database_->write(work);
}

Status ImageStore::drop_removed(Connection& connection) {
  return connection.run(
      "DELETE FROM images WHERE removed = 1 AND NOT EXISTS (SELECT 1 FROM containers WHERE containers.image = images.id)");
}

}  // namespace husk::images
