// Image references: [domain/]path[:tag][@digest], normalised as Docker does it.
// Source: the grammar of distribution/reference; distribution-spec spec.md#pulling-manifests.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::images {

struct Reference {
  std::string domain;  // "docker.io", "localhost:5000", "[::1]:5000"
  std::string path;    // "library/busybox"
  std::string tag;     // "" when only a digest was given
  std::string digest;  // "" or "sha256:…"

  std::string name() const { return domain + "/" + path; }
  std::string tagged() const { return name() + ":" + tag; }        // needs a tag
  std::string digested() const { return name() + "@" + digest; }   // needs a digest
  std::string text() const;                                        // whole
  // What a registry is asked for: the digest when there is one, else the tag.
  const std::string& selector() const { return digest.empty() ? tag : digest; }
};

// "busybox" → docker.io/library/busybox:latest. A name of 64 hex digits is refused: it looks like an
// image id. Errors: invalid, with the part that is wrong.
Result<Reference> parse_reference(std::string_view text);

}  // namespace husk::images
