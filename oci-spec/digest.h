// Digest: "sha256:<64 hex>" or "sha512:<128 hex>". A Digest is always valid, so that its parts are safe
// as path components: a registry that sends "sha256:../../etc" never gets as far as a file name.
// Hashing is not done here. Source: image-spec descriptor.md#digests; CVE-2024-3727.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::oci {

class Digest {
 public:
  // Errors: invalid (against the grammar, or hex of the wrong length or in upper case); unsupported
  // (a well-formed digest of another algorithm).
  static Result<Digest> parse(std::string_view text);

  const std::string& text() const { return text_; }            // "sha256:0123…"
  std::string_view algorithm() const { return std::string_view{text_}.substr(0, kAlgorithmSize); }
  std::string_view hex() const { return std::string_view{text_}.substr(kAlgorithmSize + 1); }
  auto operator<=>(const Digest&) const = default;

 private:
  static constexpr std::size_t kAlgorithmSize = 6;  // both names have six letters
  explicit Digest(std::string text) : text_{std::move(text)} {}
  std::string text_;
};

}  // namespace husk::oci
