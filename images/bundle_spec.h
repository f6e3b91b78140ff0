// Image configuration + what a person asked for → the config.json of an OCI bundle, with the defaults
// podman has. Pure. Source: image-spec conversion.md; runtime-spec config.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "images/image_user.h"
#include "images/images.h"
#include "oci-spec/runtime_spec.h"

namespace husk::images {

enum class BundleNetwork : std::uint8_t { none, host };  // none: a new namespace with nothing but lo

struct BundleRequest {
  std::vector<std::string> command;                   // empty: the image's
  std::optional<std::vector<std::string>> entrypoint;  // absent: the image's
  std::vector<std::string> env;
  std::vector<oci::Mount> mounts;
  std::optional<std::string> working_dir;
  std::string hostname;
  bool terminal = false;
  bool read_only = false;
  BundleNetwork network = BundleNetwork::none;
};

// `files`: directory that holds hosts, hostname and resolv.conf, bound into /etc.
// Errors: invalid (no command).
Result<oci::Spec> make_bundle_spec(const ImageConfig& image, const ImageUser& user, const BundleRequest& request,
                                   const std::string& files);

// "HOST:INSIDE[:OPTIONS]"; options ro, rw, rbind, bind, propagation. Errors: invalid.
Result<oci::Mount> parse_volume(const std::string& text);

}  // namespace husk::images
