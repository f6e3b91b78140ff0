// Streaming SHA-256 over OpenSSL's EVP; the algorithm is fetched once (an implicit fetch a stream is
// slow in OpenSSL 3.0). Source: man 3 EVP_DigestInit_ex, man 7 crypto "Explicit fetching".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::images {

class Sha256 {
 public:
  static Result<Sha256> create();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  Status update(std::string_view bytes);
  Result<std::string> finish();  // "sha256:<hex>"; the object is used up

 private:
  struct Context;
  explicit Sha256(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

Result<std::string> sha256_of(std::string_view bytes);  // "sha256:<hex>"

}  // namespace husk::images
