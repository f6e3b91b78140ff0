// IpAddress and Subnet: parsed once, printed the canonical way, no resolver.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::netns {

enum class Family : std::uint8_t { ipv4, ipv6 };

struct IpAddress {
  Family family = Family::ipv4;
  std::array<std::uint8_t, 16> storage{};  // network byte order; IPv4 uses the first four

  static Result<IpAddress> parse(std::string_view text);
  static IpAddress from_octets(Family family, std::span<const std::uint8_t> octets);
  std::size_t size() const { return family == Family::ipv4 ? 4 : 16; }
  unsigned bits() const { return family == Family::ipv4 ? 32 : 128; }
  std::span<const std::uint8_t> octets() const { return std::span{storage}.first(size()); }
  bool is_unspecified() const;  // 0.0.0.0 or ::
  std::string text() const;
  auto operator<=>(const IpAddress&) const = default;
};

struct Subnet {
  IpAddress network;
  unsigned prefix = 0;

  // "10.88.0.0/16". Host bits must be zero: "10.88.0.5/16" is more likely a mistake than a network.
  static Result<Subnet> parse(std::string_view text);
  unsigned host_bits() const { return network.bits() - prefix; }
  IpAddress at(std::uint32_t offset) const;  // the offset-th address
  bool contains(const IpAddress& address) const;
  bool overlaps(const Subnet& other) const;
  std::string text() const;
};

// AF_INET or AF_INET6.
std::uint8_t address_family(Family family);

}  // namespace husk::netns
