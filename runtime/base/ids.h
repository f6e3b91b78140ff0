// Ids parsed once at the edge; inside, they are safe as one path component.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk {

// [A-Za-z0-9_][A-Za-z0-9_+.-]*, at most 255 bytes: no "/", no leading dot or dash.
// Source: the rules of runc and of crun 1.28 (no leading dot); NAME_MAX in man 3 limits.h.
class ContainerId {
 public:
  static Result<ContainerId> parse(std::string_view text);
  const std::string& text() const { return text_; }
  auto operator<=>(const ContainerId&) const = default;

 private:
  explicit ContainerId(std::string text) : text_{std::move(text)} {}
  std::string text_;
};

// A CRI pod sandbox id: same rules.
class PodId {
 public:
  static Result<PodId> parse(std::string_view text);
  const std::string& text() const { return text_; }
  auto operator<=>(const PodId&) const = default;

 private:
  explicit PodId(std::string text) : text_{std::move(text)} {}
  std::string text_;
};

}  // namespace husk
