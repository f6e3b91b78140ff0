#include "netns/ip_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::netns {
namespace {

bool same_prefix(const IpAddress& a, const IpAddress& b, unsigned prefix) {
  for (unsigned bit = 0; bit < prefix; bit += 8) {
    const unsigned kept = std::min(8U, prefix - bit);
    const unsigned mask = (0xff00U >> kept) & 0xffU;
    const std::size_t at = bit / 8;
    if (((a.storage[at] ^ b.storage[at]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

std::uint8_t address_family(Family family) { return family == Family::ipv4 ? AF_INET : AF_INET6; }

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address;
  address.family = text.find(':') == std::string_view::npos ? Family::ipv4 : Family::ipv6;
  const std::string terminated{text};
  // A NUL inside would hide the rest of the text from inet_pton.
  const bool whole = text.find('\0') == std::string_view::npos;
  if (!whole || ::inet_pton(address_family(address.family), terminated.c_str(), address.storage.data()) != 1)
    return Error{Kind::invalid, format_text("{} is not an IP address", quote(text))};
  return address;
}

IpAddress IpAddress::from_octets(Family family, std::span<const std::uint8_t> octets) {
  IpAddress address;
  address.family = family;
  std::copy_n(octets.begin(), std::min(octets.size(), address.size()), address.storage.begin());
  return address;
}

bool IpAddress::is_unspecified() const {
  return std::all_of(storage.begin(), storage.end(), [](std::uint8_t octet) { return octet == 0; });
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  const char* shown = ::inet_ntop(address_family(family), storage.data(), buffer.data(), buffer.size());
  return shown == nullptr ? std::string{} : std::string{shown};
}

Result<Subnet> Subnet::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return Error{Kind::invalid, format_text("{} is not a subnet", quote(text))}.hint("write it as 10.88.0.0/16");
  Subnet subnet;
  subnet.network = TRY(IpAddress::parse(text.substr(0, slash)).during(format_text("subnet {}", quote(text))));
  const auto prefix = parse_uint32(text.substr(slash + 1));
  if (!prefix.has_value() || prefix.value() > subnet.network.bits())
    return Error{Kind::invalid, format_text("subnet {}: the prefix length must be a number from 0 to {}", quote(text),
                                            subnet.network.bits())};
  subnet.prefix = prefix.value();
  IpAddress clean = subnet.network;
  for (unsigned bit = subnet.prefix; bit < clean.bits(); ++bit)
    clean.storage[bit / 8] = static_cast<std::uint8_t>(clean.storage[bit / 8] & ~(0x80U >> (bit % 8)));
  if (clean != subnet.network)
    return Error{Kind::invalid, format_text("subnet {} has bits set behind its prefix", quote(text))}.hint(
        format_text("the network is {}/{}", clean.text(), subnet.prefix));
  return subnet;
}

IpAddress Subnet::at(std::uint32_t offset) const {
  IpAddress address = network;
  std::uint64_t carry = offset;
  for (std::size_t at = address.size(); at-- > 0 && carry != 0;) {
    carry += address.storage[at];
    address.storage[at] = static_cast<std::uint8_t>(carry & 0xffU);
    carry >>= 8U;
  }
  return address;
}

bool Subnet::contains(const IpAddress& address) const {
  return address.family == network.family && same_prefix(network, address, prefix);
}

bool Subnet::overlaps(const Subnet& other) const {
  return network.family == other.network.family &&
         same_prefix(network, other.network, std::min(prefix, other.prefix));
}

std::string Subnet::text() const { return format_text("{}/{}", network.text(), prefix); }

}  // namespace husk::netns
