#include "handshake.h"

#include <sys/socket.h>

#include <string>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr std::size_t kMaxPacket = 8U << 10U;
constexpr char kPid = 'P';
constexpr char kNetwork = 'N';
constexpr char kWarning = 'W';
constexpr char kListener = 'L';
constexpr char kError = 'E';

Error decode_error(std::string_view body) {
  const auto parts = split(body, '\0');
  if (parts.size() != 4) return Error{Kind::internal, "the container's init sent a malformed error"};
  const auto kind = parse_uint32(parts[0]);
  const auto err = parse_int64(parts[1]);
  if (!kind.has_value() || !err.has_value() || kind.value() > static_cast<std::uint32_t>(Kind::internal))
    return Error{Kind::internal, "the container's init sent a malformed error"};
  Error error{static_cast<Kind>(kind.value()), std::string{parts[2]}, static_cast<int>(err.value())};
  if (parts[3].empty()) return error;
  return std::move(error).hint(std::string{parts[3]});
}

std::string encode_error(const Error& error) {
  std::string packet = format_text("{}{}", kError, static_cast<unsigned>(error.kind()));
  packet += '\0';
  packet += format_text("{}", error.os_errno());
  packet += '\0';
  packet += error.what().substr(0, kMaxPacket / 2);
  packet += '\0';
  packet += error.hint_text().substr(0, kMaxPacket / 4);
  return packet;
}

// A peer that ends with a packet of ours unread leaves ECONNRESET in front of what it said.
// Source: unix_release_sock() in net/unix/af_unix.c.
Result<sys::Received> receive(int fd) {
  auto got = sys::receive_message(fd, kMaxPacket);
  if (got.has_value() || got.error().os_errno() != ECONNRESET) return got;
  return sys::receive_message(fd, kMaxPacket);
}

// The next packet that is no warning.
Result<std::string> next_packet(int fd, std::vector<UniqueFd>* fds = nullptr) {
  for (;;) {
    auto got = TRY(receive(fd));
    if (got.end_of_file || got.data.empty()) return std::string{};
    if (fds != nullptr) *fds = std::move(got.fds);
    if (got.data.front() != kWarning) return std::move(got.data);
    log::warning(std::string_view{got.data}.substr(1));
  }
}

Error peer_gone() { return Error{Kind::unavailable, "the other side of the handshake is gone"}; }

}  // namespace

Status Channel::send(Step step) const { return sys::send_message(fd_.get(), std::string(1, static_cast<char>(step))); }

Status Channel::send_pid(pid_t pid) const { return sys::send_message(fd_.get(), format_text("{}{}", kPid, pid)); }

Status Channel::send_warning(std::string_view text) const {
  return sys::send_message(fd_.get(), format_text("{}{}", kWarning, text.substr(0, kMaxPacket / 2)));
}

Status Channel::send_error(const Error& error) const { return sys::send_message(fd_.get(), encode_error(error)); }

Status Channel::send_network(const UniqueFd& ns) const {
  return sys::send_message(fd_.get(), std::string(1, kNetwork), {ns.get()});
}

// The parent sends nothing else before it: no warning, no error.
Result<UniqueFd> Channel::expect_network() const {
  auto got = TRY(receive(fd_.get()));
  if (got.end_of_file || got.data.empty()) return peer_gone();
  if (got.data.front() != kNetwork || got.fds.size() != 1)
    return Error{Kind::internal, format_text("handshake: expected a network namespace, got {}", quote(got.data))};
  return std::move(got.fds.front());
}

Status Channel::expect(Step step) const {
  const auto packet = TRY(next_packet(fd_.get()));
  if (packet.empty()) return peer_gone();
  if (packet.front() == kError) return decode_error(std::string_view{packet}.substr(1));
  if (packet.size() == 1 && packet.front() == static_cast<char>(step)) return ok();
  return Error{Kind::internal, format_text("handshake: expected step {}, got {}", static_cast<char>(step), quote(packet))};
}

Result<pid_t> Channel::expect_pid() const {
  const auto packet = TRY(next_packet(fd_.get()));
  if (packet.empty()) return peer_gone();
  if (packet.front() == kError) return decode_error(std::string_view{packet}.substr(1));
  if (packet.front() != kPid) return Error{Kind::internal, format_text("handshake: expected a pid, got {}", quote(packet))};
  const auto pid = TRY(parse_uint32(std::string_view{packet}.substr(1)));
  return static_cast<pid_t>(pid);
}

Status Channel::send_listener(const ListenerOffer& offer) const {
  return sys::send_message(fd_.get(), format_text("{}{}", kListener, offer.memory), {offer.faults.get()});
}

Status Channel::expect_close(const OnListener& on_listener) const {
  std::vector<UniqueFd> fds;
  auto packet = TRY(next_packet(fd_.get(), &fds));
  if (!packet.empty() && packet.front() == kListener && fds.size() == 1) {
    const auto memory = TRY(parse_int64(std::string_view{packet}.substr(1)));
    TRY(on_listener({.faults = std::move(fds.front()), .memory = static_cast<std::uintptr_t>(memory)}));
    packet = TRY(next_packet(fd_.get()));
  }
  if (packet.empty()) return ok();
  if (packet.front() == kError) return decode_error(std::string_view{packet}.substr(1));
  return Error{Kind::internal, format_text("handshake: expected the end, got {}", quote(packet))};
}

Status Channel::expect_program(const OnListener& on_listener) const {
  TRY(expect(Step::executing));
  return expect_close(on_listener);
}

Result<ChannelPair> make_channels() {
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  return ChannelPair{.parent = Channel{std::move(pair.first)}, .child = Channel{std::move(pair.second)}};
}

}  // namespace husk::runtime
