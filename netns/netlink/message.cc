#include "netns/netlink/message.h"

#include <arpa/inet.h>

#include <algorithm>
#include <limits>

#include "base/result.h"

namespace husk::netns::netlink {

Message::Message(std::uint16_t type, std::uint16_t flags, std::string call) : call_{std::move(call)} {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  append(header);
}

nlmsghdr Message::header() const {
  nlmsghdr header;
  std::memcpy(&header, data_.data(), sizeof header);
  return header;
}

void Message::append_padded(std::span<const std::uint8_t> part) {
  data_.insert(data_.end(), part.begin(), part.end());
  data_.resize(NLMSG_ALIGN(data_.size()));
}

Message& Message::bytes(std::uint16_t type, std::span<const std::uint8_t> payload) {
  const std::size_t length = NLA_HDRLEN + payload.size();
  require(length <= std::numeric_limits<std::uint16_t>::max(), "netlink attribute longer than 64 KiB");
  append(nlattr{.nla_len = static_cast<std::uint16_t>(length), .nla_type = type});
  append_padded(payload);
  return *this;
}

Message& Message::attr(std::uint16_t type, std::string_view text) {
  std::vector<std::uint8_t> terminated{text.begin(), text.end()};
  terminated.push_back(0);
  return bytes(type, terminated);
}

Message& Message::attr_be(std::uint16_t type, std::uint32_t value) { return attr(type, htonl(value)); }

std::size_t Message::open_nest(std::uint16_t type) {
  const std::size_t start = data_.size();
  // Kernels since 5.2 refuse a nest without the flag where they validate strictly; older ones ignore it.
  append(nlattr{.nla_len = 0, .nla_type = static_cast<std::uint16_t>(type | NLA_F_NESTED)});
  return start;
}

void Message::close_nest(std::size_t start) {
  const std::size_t length = data_.size() - start;
  require(length <= std::numeric_limits<std::uint16_t>::max(), "netlink nest longer than 64 KiB");
  const auto field = static_cast<std::uint16_t>(length);
  std::memcpy(data_.data() + start, &field, sizeof field);
}

const std::vector<std::uint8_t>& Message::finish(std::uint32_t sequence) {
  nlmsghdr filled = header();
  filled.nlmsg_len = static_cast<std::uint32_t>(data_.size());
  filled.nlmsg_seq = sequence;
  std::memcpy(data_.data(), &filled, sizeof filled);
  return data_;
}

std::string Attribute::text() const {
  const auto end = std::find(payload.begin(), payload.end(), 0);
  return {payload.begin(), end};
}

std::vector<Attribute> parse_attributes(std::span<const std::uint8_t> data) {
  std::vector<Attribute> found;
  while (data.size() >= NLA_HDRLEN) {
    nlattr head;
    std::memcpy(&head, data.data(), sizeof head);
    if (head.nla_len < NLA_HDRLEN || head.nla_len > data.size()) break;
    found.push_back({.type = static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK),
                     .payload = data.subspan(NLA_HDRLEN, head.nla_len - std::size_t{NLA_HDRLEN})});
    data = data.subspan(std::min<std::size_t>(NLA_ALIGN(head.nla_len), data.size()));
  }
  return found;
}

std::optional<Attribute> find_attribute(std::span<const std::uint8_t> data, std::uint16_t type) {
  for (const auto& attribute : parse_attributes(data))
    if (attribute.type == type) return attribute;
  return std::nullopt;
}

}  // namespace husk::netns::netlink
