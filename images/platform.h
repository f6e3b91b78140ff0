// Which entry of an image index suits this machine.
// Source: image-spec image-index.md#platform-object and its variant table.
#pragma once

#include <string>

#include "base/result.h"

namespace husk::images {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;  // "" = the base line
};

Result<Platform> parse_platform(const std::string& text);  // "os/arch[/variant]"
Platform host_platform();                                  // amd64 with the level that this CPU has

// How well `offered` suits `wanted`: higher is better, negative not at all. amd64: v3 before v2 before
// none on a v3 machine; arm: v7, v6, v5 downwards; arm64: v8 is the base line.
int platform_score(const Platform& wanted, const Platform& offered);

}  // namespace husk::images
