// Message builds one netlink request; Attributes reads the attributes of an answer. Both know lengths and
// padding, so that no caller does. Source: man 7 netlink, linux/netlink.h.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace husk::netns::netlink {

class Message {
 public:
  // NLM_F_REQUEST is always set. `call` names the request in errors: `RTM_DELLINK "veth0"`.
  Message(std::uint16_t type, std::uint16_t flags, std::string call);

  // The fixed part of a message (ifinfomsg, nfgenmsg, …), padded to 4 bytes.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  Message& append(const T& part) {
    append_padded({reinterpret_cast<const std::uint8_t*>(&part), sizeof part});  // NOLINT: bytes of a struct
    return *this;
  }
  Message& attr(std::uint16_t type, std::string_view text);  // with a final NUL
  Message& attr(std::uint16_t type, const char* text) { return attr(type, std::string_view{text}); }
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  Message& attr(std::uint16_t type, T value) {  // host byte order, as rtnetlink wants
    return bytes(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});  // NOLINT: bytes of a number
  }
  Message& attr_be(std::uint16_t type, std::uint32_t value);  // network byte order, as nfnetlink wants
  Message& bytes(std::uint16_t type, std::span<const std::uint8_t> payload);
  template <class Fill>
  Message& nest(std::uint16_t type, Fill&& fill) {
    const std::size_t start = open_nest(type);
    fill(*this);
    close_nest(start);
    return *this;
  }

  const std::string& call() const { return call_; }
  std::uint16_t flags() const { return header().nlmsg_flags; }
  bool wants_answer() const {  // NLM_F_DUMP is two bits; in a NEW request each means something else
    return (flags() & NLM_F_ACK) != 0 || (flags() & NLM_F_DUMP) == NLM_F_DUMP;
  }
  // The bytes to send, with the length filled in.
  const std::vector<std::uint8_t>& finish(std::uint32_t sequence);

 private:
  nlmsghdr header() const;
  void append_padded(std::span<const std::uint8_t> part);
  std::size_t open_nest(std::uint16_t type);
  void close_nest(std::size_t start);

  std::vector<std::uint8_t> data_;
  std::string call_;
};

// One attribute, borrowed from the message that holds it.
struct Attribute {
  std::uint16_t type = 0;
  std::span<const std::uint8_t> payload;

  template <class T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> as() const {  // nullopt when the payload is too short
    if (payload.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
  std::string text() const;  // up to the first NUL
};

// Malformed rests end the list: the kernel is trusted to be honest, not to be the newest.
std::vector<Attribute> parse_attributes(std::span<const std::uint8_t> data);
std::optional<Attribute> find_attribute(std::span<const std::uint8_t> data, std::uint16_t type);

struct Reply {
  std::uint16_t type = 0;
  std::vector<std::uint8_t> body;  // after nlmsghdr

  // The fixed part, and the attributes behind it. A short body gives zeros and no attributes.
  template <class T>
  T fixed() const {
    T part{};
    if (body.size() >= sizeof part) std::memcpy(&part, body.data(), sizeof part);
    return part;
  }
  template <class T>
  std::span<const std::uint8_t> attributes() const {
    const std::size_t skip = NLMSG_ALIGN(sizeof(T));
    return body.size() < skip ? std::span<const std::uint8_t>{} : std::span{body}.subspan(skip);
  }
};

}  // namespace husk::netns::netlink
