#include "images/reference.h"

#include <algorithm>
#include <cctype>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// [a-z0-9]+ joined by ".", "_", "__" or any number of "-".
bool is_path_component(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto begin = at;
    while (at < text.size() && is_lower_alnum(text[at])) ++at;
    if (at == begin) return false;
    if (at == text.size()) return true;
    const auto separator = at;
    while (at < text.size() && !is_lower_alnum(text[at])) ++at;
    const auto between = text.substr(separator, at - separator);
    const bool dashes = std::ranges::all_of(between, [](char c) { return c == '-'; });
    if (between != "." && between != "_" && between != "__" && !dashes) return false;
  }
  return false;
}

bool is_domain_label(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-'; }) &&
         text.front() != '-' && text.back() != '-';
}

bool is_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    const auto inner = text.substr(1, text.size() - 2);
    return !inner.empty() && std::ranges::all_of(inner, [](char c) {
      return c == ':' || c == '.' || std::isxdigit(static_cast<unsigned char>(c)) != 0;
    });
  }
  return std::ranges::all_of(split(text, '.'), is_domain_label);
}

bool is_domain(std::string_view text) {
  const auto bracket = text.rfind(']');
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return is_host(text);
  const auto port = parse_uint32(text.substr(colon + 1));
  return port.has_value() && port.value() > 0 && port.value() < 65536 && is_host(text.substr(0, colon));
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTag && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

// The algorithms a store can verify. Source: image-spec descriptor.md#registered-algorithms.
bool is_digest(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto algorithm = text.substr(0, colon);
  const auto hex = text.substr(colon + 1);
  const std::size_t length = algorithm == "sha256" ? 64 : algorithm == "sha512" ? 128 : 0;
  return length != 0 && hex.size() == length && std::ranges::all_of(hex, is_hex);
}

// The first component is a domain only if it looks like one.
bool looks_like_domain(std::string_view text) {
  return text == "localhost" || text.find_first_of(".:[") != std::string_view::npos ||
         std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

Error wrong(std::string_view text, std::string_view why) {
  return Error{Kind::invalid, format_text("invalid image reference {}: {}", quote(text), why)};
}

Status check_name(std::string_view text, const Reference& reference) {
  if (!is_domain(reference.domain)) return wrong(text, format_text("{} is not a host name", quote(reference.domain)));
  for (const auto component : split(reference.path, '/'))
    if (!is_path_component(component))
      return wrong(text, format_text("{} is not a repository name component", quote(component)))
          .hint("use lower-case letters and digits, joined by . _ __ or -");
  if (reference.name().size() > kMaxName) return wrong(text, format_text("the name is longer than {} bytes", kMaxName));
  return ok();
}

}  // namespace

std::string Reference::text() const {
  std::string whole = name();
  if (!tag.empty()) whole += ":" + tag;
  if (!digest.empty()) whole += "@" + digest;
  return whole;
}

Result<Reference> parse_reference(std::string_view text) {
  Reference reference;
  std::string_view rest = text;
  if (rest.empty()) return wrong(text, "it is empty");
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos)
    return wrong(text, "a name has no scheme").hint(format_text("write {}", rest.substr(scheme + 3)));
  if (rest.size() == 64 && std::ranges::all_of(rest, is_hex)) return wrong(text, "64 hex digits name an image id");
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = std::string{rest.substr(at + 1)};
    if (!is_digest(reference.digest)) return wrong(text, format_text("{} is not a sha256 or sha512 digest", quote(reference.digest)));
    rest = rest.substr(0, at);
  }
  const auto slash = rest.rfind('/');
  const auto last = slash == std::string_view::npos ? 0 : slash + 1;
  if (const auto colon = rest.find(':', last); colon != std::string_view::npos) {
    reference.tag = std::string{rest.substr(colon + 1)};
    if (!is_tag(reference.tag)) return wrong(text, format_text("{} is not a tag", quote(reference.tag)));
    rest = rest.substr(0, colon);
  }
  const auto first = rest.find('/');
  if (first != std::string_view::npos && looks_like_domain(rest.substr(0, first))) {
    reference.domain = std::string{rest.substr(0, first)};
    reference.path = std::string{rest.substr(first + 1)};
  } else {
    reference.domain = "docker.io";
    reference.path = std::string{rest};
  }
  if (reference.domain == "index.docker.io") reference.domain = "docker.io";
  if (reference.domain == "docker.io" && !reference.path.contains('/')) reference.path.insert(0, "library/");
  TRY(check_name(text, reference));
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

}  // namespace husk::images
