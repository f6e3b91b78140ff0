#include "cri/client/text/values.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/format.h"
#include "base/text.h"

namespace husk::pod {
namespace {

Result<std::uint16_t> parse_port_number(std::string_view text, std::string_view whole) {
  const auto number = parse_uint32(text);
  if (!number.has_value() || number.value() == 0 || number.value() > 65535)
    return Error{Kind::invalid, format_text("port mapping {}: {} is not a port from 1 to 65535", quote(whole), quote(text))}.hint(
        "use HOST:CONTAINER, as in 8080:80");
  return static_cast<std::uint16_t>(number.value());
}

}  // namespace

Result<Port> parse_port(std::string_view text) {
  Port port;
  std::string_view rest = text;
  if (const auto slash = rest.rfind('/'); slash != std::string_view::npos) {
    const auto protocol = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    if (protocol == "udp") {
      port.protocol = PortProtocol::udp;
    } else if (protocol == "sctp") {
      port.protocol = PortProtocol::sctp;
    } else if (protocol != "tcp") {
      return Error{Kind::invalid, format_text("port mapping {}: protocol {} is not tcp, udp or sctp", quote(text), quote(protocol))};
    }
  }
  const auto last = rest.rfind(':');
  if (last == std::string_view::npos) {
    port.container = TRY(parse_port_number(rest, text));
    port.host = port.container;
    return port;
  }
  port.container = TRY(parse_port_number(rest.substr(last + 1), text));
  rest = rest.substr(0, last);
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos) {
    auto address = rest.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    port.host_ip = address;
    rest = rest.substr(colon + 1);
  }
  port.host = TRY(parse_port_number(rest, text));
  return port;
}

Result<Volume> parse_volume(std::string_view text, const std::string& directory) {
  const auto parts = split(text, ':');
  const auto usage = [&](std::string_view what) {
    return Error{Kind::invalid, format_text("volume {}: {}", quote(text), what)}.hint("use SOURCE:TARGET or SOURCE:TARGET:ro");
  };
  if (parts.size() < 2 || parts.size() > 3) return usage("not SOURCE:TARGET[:ro]");
  if (parts[0].empty()) return usage("the source is empty");
  if (!parts[1].starts_with('/')) return usage("the target is not an absolute path");
  Volume volume{.source = std::string{parts[0]}, .target = std::string{parts[1]}};
  if (!volume.source.starts_with('/')) volume.source = directory + "/" + volume.source;
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw") return usage(format_text("unknown option {}", quote(parts[2])));
    volume.read_only = parts[2] == "ro";
  }
  return volume;
}

Result<std::pair<std::string, std::string>> parse_pair(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return Error{Kind::invalid, format_text("{} is not NAME=VALUE", quote(text))};
  return std::pair{std::string{text.substr(0, equals)}, std::string{text.substr(equals + 1)}};
}

Result<std::int64_t> parse_size(std::string_view text) {
  constexpr std::string_view units = "bkmgt";
  auto digits = text;
  unsigned shift = 0;
  if (!text.empty()) {
    const auto lower = to_lower(text.substr(text.size() - 1));
    if (const auto unit = units.find(lower); unit != std::string_view::npos) {
      shift = static_cast<unsigned>(unit) * 10;
      digits.remove_suffix(1);
    }
  }
  const auto number = parse_uint64(digits);
  if (!number.has_value() || number.value() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) >> shift)
    return Error{Kind::invalid, format_text("{} is not a size", quote(text))}.hint("use a number with b, k, m, g or t, as in 64m");
  return static_cast<std::int64_t>(number.value() << shift);
}

Result<std::int64_t> parse_cpus(std::string_view text) {
  constexpr double kPeriod_us = 100'000;
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size() || !(number >= 0.01) || !(number <= 10'000))
    return Error{Kind::invalid, format_text("{} is not a number of CPUs from 0.01", quote(text))}.hint("as in 0.5 or 2");
  return static_cast<std::int64_t>(number * kPeriod_us);
}

Result<std::int64_t> parse_seconds(std::string_view text) {
  const auto number = parse_uint32(text);
  if (!number.has_value()) return Error{Kind::invalid, format_text("{} is not a number of seconds", quote(text))};
  return std::int64_t{number.value()};
}

Result<User> parse_user(std::string_view text) {
  User user;
  const auto colon = text.find(':');
  const auto first = text.substr(0, colon);
  const auto uid = parse_uint32(first);
  if (uid.has_value()) {
    user.uid = uid.value();
  } else if (first.empty()) {
    return Error{Kind::invalid, format_text("user {}: the user is empty", quote(text))};
  } else {
    user.name = first;
  }
  if (colon == std::string_view::npos) return user;
  const auto gid = parse_uint32(text.substr(colon + 1));
  if (!gid.has_value())
    return Error{Kind::invalid, format_text("user {}: the group is not a number", quote(text))}.hint(
        "CRI takes groups by number; a user by name gets its group from the image");
  user.gid = gid.value();
  return user;
}

std::string short_image_name(std::string_view image) {
  image = image.substr(0, image.find('@'));
  if (const auto slash = image.rfind('/'); slash != std::string_view::npos) image.remove_prefix(slash + 1);
  image = image.substr(0, image.find(':'));
  std::string out;
  for (const char c : to_lower(image)) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    out += fine ? c : '-';
  }
  while (out.starts_with('-')) out.erase(0, 1);
  return out.empty() ? "pod" : out.substr(0, 40);
}

}  // namespace husk::pod
