// The tables of images.db. Change them by a new version and a step from the one before.
//   images         one row an image id (digest of the config); removed = 1: gone for everyone but the
//                  containers that still use it
//   manifests      the manifests by which we know it; the first one gives its size
//   names          tags and digest references
//   layers         unpacked layers: layers/<hex of chain>/fs
//   image_layers   chain ids of an image, bottom first
//   blobs          files in blobs/sha256; manifest_blobs says which manifest needs which
//   containers     read-write layers (kind container or bundle) and read-only views (kind view);
//                  container_layers keeps their layers alive
//   pins           what a running operation of some process holds; swept when that process is gone
#pragma once

namespace husk::images {

inline constexpr int kSchemaVersion = 1;
inline constexpr const char* kSchema = R"sql(
CREATE TABLE images (id TEXT PRIMARY KEY, config BLOB NOT NULL, size INTEGER NOT NULL, created TEXT NOT NULL,
  pinned INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0, added INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE manifests (digest TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  bytes BLOB NOT NULL, added INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX manifests_image ON manifests(image);
CREATE TABLE manifest_blobs (manifest TEXT NOT NULL REFERENCES manifests(digest) ON DELETE CASCADE,
  digest TEXT NOT NULL, PRIMARY KEY (manifest, digest)) WITHOUT ROWID;
CREATE INDEX manifest_blobs_digest ON manifest_blobs(digest);
CREATE TABLE names (name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX names_image ON names(image);
CREATE TABLE layers (chain TEXT PRIMARY KEY, diff_id TEXT NOT NULL, bytes INTEGER NOT NULL,
  inodes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_layers (image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, position INTEGER NOT NULL,
  chain TEXT NOT NULL REFERENCES layers(chain), PRIMARY KEY (image, position)) WITHOUT ROWID;
CREATE INDEX image_layers_chain ON image_layers(chain);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE containers (key TEXT PRIMARY KEY, image TEXT NOT NULL, kind TEXT NOT NULL,
  added INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX containers_image ON containers(image);
CREATE TABLE container_layers (key TEXT NOT NULL REFERENCES containers(key) ON DELETE CASCADE,
  position INTEGER NOT NULL, chain TEXT NOT NULL REFERENCES layers(chain), PRIMARY KEY (key, position)) WITHOUT ROWID;
CREATE INDEX container_layers_chain ON container_layers(chain);
CREATE TABLE pins (owner TEXT NOT NULL, lease TEXT NOT NULL, item TEXT NOT NULL,
  PRIMARY KEY (owner, lease, item)) WITHOUT ROWID;
CREATE INDEX pins_item ON pins(item);
)sql";

}  // namespace husk::images
