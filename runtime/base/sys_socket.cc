#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/sys.h"
#include "base/sys_check.h"
#include "base/text.h"

namespace husk::sys {
namespace {

constexpr std::size_t kMaxFds = 64;

struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = sizeof(sockaddr_un);
  UniqueFd directory;  // keeps /proc/self/fd/N/name valid
};

// sun_path holds 107 bytes; a longer path goes through an open descriptor of its directory.
Result<UnixAddress> unix_address(const std::string& path) {
  UnixAddress result;
  result.address.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof result.address.sun_path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos)
      return Error{Kind::invalid, format_text("socket path {} is longer than 107 bytes", quote(path))};
    result.directory = TRY(openat(AT_FDCWD, path.substr(0, slash), O_PATH | O_DIRECTORY));
    text = format_text("/proc/self/fd/{}/{}", result.directory.get(), path.substr(slash + 1));
    if (text.size() >= sizeof result.address.sun_path)
      return Error{Kind::invalid, format_text("socket name {} is too long", quote(path))};
  }
  std::memcpy(result.address.sun_path, text.data(), text.size());
  if (path.starts_with('@')) {  // the abstract namespace: a NUL, and a length that counts
    result.address.sun_path[0] = '\0';
    result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  }
  return result;
}

void add_fds(msghdr& header, std::span<char> control, const std::vector<int>& fds) {
  header.msg_control = control.data();
  header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
  cmsghdr* item = CMSG_FIRSTHDR(&header);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(item), fds.data(), fds.size() * sizeof(int));
}

}  // namespace

Result<SocketPair> socketpair(int type) {
  std::array<int, 2> ends{};
  if (failed(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data())))
    return call_error([] { return std::string{"socketpair()"}; });
  return SocketPair{.first = UniqueFd{ends[0]}, .second = UniqueFd{ends[1]}};
}

Result<UniqueFd> socket(int domain, int type, int protocol) {
  return fd_of(::socket(domain, type | SOCK_CLOEXEC, protocol),
               [&] { return format_text("socket({}, {}, {})", domain, type, protocol); });
}

Result<UniqueFd> listen_unix(const std::string& path, int type, int backlog, mode_t mode) {
  auto fd = TRY(socket(AF_UNIX, type));
  const auto address = TRY(unix_address(path));
  // Linux takes the mode of a bound socket from the descriptor's mode before bind (man 7 unix).
  TRY(fchmod(fd.get(), mode));
  if (failed(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.address), address.size)))
    return call_error([&] { return format_text("bind({})", quote(path)); });
  if (type == SOCK_DGRAM) return fd;  // nobody connects: it is listening
  if (failed(::listen(fd.get(), backlog))) return call_error([&] { return format_text("listen({})", quote(path)); });
  return fd;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
  auto fd = TRY(socket(AF_UNIX, type));
  const auto address = TRY(unix_address(path));
  if (failed(retry_eintr([&] {
        return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.address), address.size);
      })))
    return call_error([&] { return format_text("connect({})", quote(path)); });
  return fd;
}

Result<UniqueFd> accept(int fd) {
  return fd_of(retry_eintr([&] { return ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC); }),
               [&] { return format_text("accept({})", fd_text(fd)); });
}

Status shutdown(int fd, int how) {
  return status_of(::shutdown(fd, how), [&] { return format_text("shutdown({}, {})", fd_text(fd), how); });
}

Status send_message(int fd, std::string_view data, const std::vector<int>& fds) {
  require(fds.size() <= kMaxFds, "send_message: too many descriptors");
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  iovec part{.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) add_fds(header, control, fds);
  const auto sent = retry_eintr([&] { return ::sendmsg(fd, &header, MSG_NOSIGNAL); });
  if (failed(sent)) return call_error([&] { return format_text("sendmsg({}, {} bytes)", fd_text(fd), data.size()); });
  // A stream socket may take less: send the rest without the descriptors.
  if (static_cast<std::size_t>(sent) < data.size()) return send_message(fd, data.substr(static_cast<std::size_t>(sent)));
  return ok();
}

Result<Received> receive_message(int fd, std::size_t max_bytes, std::size_t max_fds) {
  require(max_fds <= kMaxFds, "receive_message: too many descriptors");
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  Received received;
  received.data.resize(max_bytes);
  iovec part{.iov_base = received.data.data(), .iov_len = received.data.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = CMSG_SPACE(max_fds * sizeof(int));
  const auto got = retry_eintr([&] { return ::recvmsg(fd, &header, MSG_CMSG_CLOEXEC); });
  if (failed(got)) return call_error([&] { return format_text("recvmsg({})", fd_text(fd)); });
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::array<int, kMaxFds> raw{};
    std::memcpy(raw.data(), CMSG_DATA(item), count * sizeof(int));
    for (std::size_t i = 0; i < count; ++i) received.fds.emplace_back(raw[i]);
  }
  received.data.resize(static_cast<std::size_t>(got));
  received.end_of_file = got == 0 && received.fds.empty();
  received.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return received;
}

Result<Peer> peer_credentials(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (failed(::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size)))
    return call_error([&] { return format_text("getsockopt({}, SO_PEERCRED)", fd_text(fd)); });
  return Peer{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

Result<int> poll(std::vector<PollEntry>& entries, int timeout_ms) {
  std::vector<pollfd> raw(entries.size());
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = {.fd = entries[i].fd, .events = entries[i].events, .revents = 0};
  const int ready = retry_eintr([&] { return ::poll(raw.data(), raw.size(), timeout_ms); });
  if (failed(ready)) return call_error([] { return std::string{"poll()"}; });
  for (std::size_t i = 0; i < raw.size(); ++i) entries[i].revents = raw[i].revents;
  return ready;
}

Result<UniqueFd> epoll_create() {
  return fd_of(::epoll_create1(EPOLL_CLOEXEC), [] { return std::string{"epoll_create1()"}; });
}

Status epoll_control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  return status_of(::epoll_ctl(epoll, operation, fd, &event), [&] { return format_text("epoll_ctl({})", fd_text(fd)); });
}

Result<std::vector<EpollEvent>> epoll_wait(int epoll, int timeout_ms) {
  std::array<epoll_event, 64> raw{};
  const int count = retry_eintr([&] { return ::epoll_wait(epoll, raw.data(), raw.size(), timeout_ms); });
  if (failed(count)) return call_error([] { return std::string{"epoll_wait()"}; });
  std::vector<EpollEvent> events;
  for (int i = 0; i < count; ++i) {
    const auto& event = raw[static_cast<std::size_t>(i)];
    events.push_back({.events = event.events, .data = event.data.u64});
  }
  return events;
}

}  // namespace husk::sys
