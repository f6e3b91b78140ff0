// Values of options: ports, mounts, variables, sizes. Pure; errors are invalid and quote the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace husk::pod {

enum class PortProtocol : std::uint8_t { tcp, udp, sctp };
struct Port {
  std::string host_ip;  // "" = every address
  std::uint16_t host = 0;
  std::uint16_t container = 0;
  PortProtocol protocol = PortProtocol::tcp;
};
Result<Port> parse_port(std::string_view text);  // [IP:]HOST:CONTAINER[/tcp|udp|sctp]; IPv6 in brackets

struct Volume {
  std::string source;  // absolute
  std::string target;  // absolute
  bool read_only = false;
};
// SOURCE:TARGET[:ro|rw]; a relative SOURCE is taken from `directory`.
Result<Volume> parse_volume(std::string_view text, const std::string& directory);

Result<std::pair<std::string, std::string>> parse_pair(std::string_view text);  // NAME=VALUE
Result<std::int64_t> parse_size(std::string_view text);                        // 64m → bytes; b k m g t
Result<std::int64_t> parse_cpus(std::string_view text);                        // 0.5 → 50000 µs of 100000
Result<std::int64_t> parse_seconds(std::string_view text);

struct User {
  std::string name;  // or
  std::int64_t uid = -1;
  std::int64_t gid = -1;
};
Result<User> parse_user(std::string_view text);  // NAME | UID[:GID]

// "docker.io/library/nginx:1.25" → "nginx": a name for a pod that got none.
std::string short_image_name(std::string_view image);

}  // namespace husk::pod
