#include "netns/netlink/socket.h"

#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::netns::netlink {
namespace {

constexpr std::size_t kReceiveBuffer = 32768;  // the kernel fills at most this much of a dump at once
constexpr int kDumpAttempts = 8;

// The text and errno of an NLMSG_ERROR. Source: linux/netlink.h, struct nlmsgerr and enum nlmsgerr_attrs.
struct Answer {
  int err = 0;
  std::string text;
};

Answer parse_error(const nlmsghdr& header, std::span<const std::uint8_t> body) {
  Answer answer;
  if (body.size() < sizeof(nlmsgerr)) return answer;
  nlmsgerr fixed;
  std::memcpy(&fixed, body.data(), sizeof fixed);
  answer.err = -fixed.error;
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return answer;
  std::size_t skip = sizeof fixed;
  // Without NETLINK_CAP_ACK the request comes back between the code and the attributes.
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0 && fixed.msg.nlmsg_len >= sizeof(nlmsghdr))
    skip += NLMSG_ALIGN(fixed.msg.nlmsg_len - sizeof(nlmsghdr));
  if (skip > body.size()) return answer;
  if (const auto text = find_attribute(body.subspan(skip), NLMSGERR_ATTR_MSG)) answer.text = text->text();
  return answer;
}

Error answer_error(const Message& message, const Answer& answer) {
  auto what = message.call();
  if (!answer.text.empty()) what += format_text(" (kernel: {})", quote(answer.text));
  const Kind kind = answer.err == ENODEV ? Kind::not_found : kind_of_errno(answer.err);
  return Error{kind, std::move(what), answer.err};
}

void set_option(mnl_socket* socket, int option) {
  int on = 1;
  // Both options are refinements (4.2, 4.12): without them errors only lose their text.
  (void)mnl_socket_setsockopt(socket, option, &on, sizeof on);
}

// A datagram larger than the send buffer is refused (EMSGSIZE): the rules with the ports of all pods may be.
void make_room(mnl_socket* socket, std::size_t size) {
  constexpr std::size_t kDefaultBuffer = 128U << 10U;  // below net.core.wmem_default of every kernel
  if (size < kDefaultBuffer) return;
  // The kernel counts its own overhead, too; what it refuses shows in the sending.
  const int wanted = static_cast<int>(std::min<std::size_t>(size * 2, 256U << 20U));
  (void)::setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted);
}

}  // namespace

struct Socket::Exchange {
  std::vector<Message>& messages;
  std::uint32_t first;
  std::size_t open;  // messages whose answer has not come
  std::vector<bool> done;
  std::vector<Reply> replies;
  std::optional<Error> error;
  std::size_t failed_at = 0;
  bool interrupted = false;

  void finish(std::size_t index) {
    if (done[index]) return;
    done[index] = true;
    if (messages[index].wants_answer()) --open;
  }
  void take(const nlmsghdr& header, std::span<const std::uint8_t> body);
};

void Socket::Exchange::take(const nlmsghdr& header, std::span<const std::uint8_t> body) {
  const std::size_t index = header.nlmsg_seq - first;
  if (index >= messages.size()) return;  // left over from a request that failed early
  interrupted = interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
  if (header.nlmsg_type == NLMSG_ERROR) {
    const auto answer = parse_error(header, body);
    if (answer.err != 0 && (!error.has_value() || index < failed_at)) {
      error = answer_error(messages[index], answer);
      failed_at = index;
    }
    // The frame of an nf_tables batch asks for no answer; when it gets one, the batch failed as a whole.
    if (!messages[index].wants_answer()) open = 0;
    finish(index);
    return;
  }
  if (header.nlmsg_type == NLMSG_DONE) {
    int code = 0;
    if (body.size() >= sizeof code) std::memcpy(&code, body.data(), sizeof code);
    if (code < 0 && !error.has_value()) error = answer_error(messages[index], {.err = -code, .text = {}});
    finish(index);
    return;
  }
  if (header.nlmsg_type < NLMSG_MIN_TYPE) return;
  replies.push_back({.type = header.nlmsg_type, .body = {body.begin(), body.end()}});
}

void Socket::Close::operator()(mnl_socket* socket) const { (void)mnl_socket_close(socket); }

Result<Socket> Socket::open(int protocol) {
  mnl_socket* raw = mnl_socket_open2(protocol, SOCK_CLOEXEC);
  const int open_errno = sys::saved_errno();
  if (raw == nullptr) return sys::last_error(format_text("mnl_socket_open2({})", protocol), open_errno);
  Socket socket{raw};
  const int bound = mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID);
  const int bind_errno = sys::saved_errno();
  if (bound < 0) return sys::last_error("mnl_socket_bind()", bind_errno);
  set_option(raw, NETLINK_CAP_ACK);
  set_option(raw, NETLINK_EXT_ACK);
  return socket;
}

Status Socket::send(std::vector<Message>& messages) {
  std::vector<std::uint8_t> datagram;
  for (auto& message : messages) {
    const auto& bytes = message.finish(sequence_++);
    datagram.insert(datagram.end(), bytes.begin(), bytes.end());
  }
  make_room(socket_.get(), datagram.size());
  const auto sent = mnl_socket_sendto(socket_.get(), datagram.data(), datagram.size());
  const int err = sys::saved_errno();
  if (sent < 0) return sys::last_error(format_text("{}: sendto(netlink)", messages.front().call()), err);
  return ok();
}

Status Socket::receive(Exchange& exchange) {
  std::vector<std::uint8_t> buffer(kReceiveBuffer);
  while (exchange.open > 0) {
    const auto got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    const int err = sys::saved_errno();
    if (got < 0 && err == EINTR) continue;
    if (got < 0) return sys::last_error(format_text("{}: recvfrom(netlink)", exchange.messages.front().call()), err);
    int left = static_cast<int>(got);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the kernel aligned the header
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      const auto* payload = static_cast<const std::uint8_t*>(mnl_nlmsg_get_payload(header));
      exchange.take(*header, {payload, mnl_nlmsg_get_payload_len(header)});
    }
  }
  return ok();
}

Result<std::vector<Reply>> Socket::exchange(std::vector<Message> messages) {
  if (messages.empty()) return std::vector<Reply>{};
  std::size_t open = 0;
  for (const auto& message : messages) open += message.wants_answer() ? 1U : 0U;
  Exchange exchange{.messages = messages,
                    .first = sequence_,
                    .open = open,
                    .done = std::vector<bool>(messages.size()),
                    .replies = {},
                    .error = std::nullopt};
  TRY(send(messages));
  TRY(receive(exchange));
  if (exchange.error.has_value()) return std::move(*exchange.error);
  if (exchange.interrupted) return Error{Kind::busy, messages.front().call(), EINTR};
  return std::move(exchange.replies);
}

Status Socket::apply(std::vector<Message> messages) {
  TRY(exchange(std::move(messages)));
  return ok();
}

Status Socket::apply(Message message) {
  std::vector<Message> one;
  one.push_back(std::move(message));
  return apply(std::move(one));
}

Result<std::vector<Reply>> Socket::dump(const Message& message) {
  for (int attempt = 1;; ++attempt) {
    auto replies = exchange({message});
    // NLM_F_DUMP_INTR: objects came or went meanwhile, so that the list may miss one.
    const bool again = !replies.has_value() && replies.error().os_errno() == EINTR && attempt < kDumpAttempts;
    if (!again) return replies;
  }
}

}  // namespace husk::netns::netlink
