#include "images/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/text.h"

namespace husk::images {
namespace {

// Lives for ever: freeing it at exit would race with threads that still hash.
const EVP_MD* algorithm() {
  static EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256(std::unique_ptr<Context> context) : context_{std::move(context)} {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Result<Sha256> Sha256::create() {
  auto context = std::make_unique<Context>();
  if (algorithm() == nullptr || context->evp == nullptr ||
      EVP_DigestInit_ex2(context->evp, algorithm(), nullptr) != 1)
    return Error{Kind::internal, "OpenSSL gives no SHA-256"}.hint("check the providers in openssl.cnf");
  return Sha256{std::move(context)};
}

Status Sha256::update(std::string_view bytes) {
  if (EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) != 1)
    return Error{Kind::internal, "EVP_DigestUpdate(SHA256) failed"};
  return ok();
}

Result<std::string> Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_->evp, bytes.data(), &size) != 1)
    return Error{Kind::internal, "EVP_DigestFinal_ex(SHA256) failed"};
  return "sha256:" + to_hex(bytes.data(), size);
}

Result<std::string> sha256_of(std::string_view bytes) {
  auto hash = TRY(Sha256::create());
  TRY(hash.update(bytes));
  return hash.finish();
}

}  // namespace husk::images
