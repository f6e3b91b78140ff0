#include "netns/netlink/message.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "harness/harness.h"
#include "netns/link.h"

namespace husk::netns::netlink {
namespace {

using Bytes = std::vector<std::uint8_t>;

template <class T>
T read_at(const Bytes& bytes, std::size_t at) {
  T value{};
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

TEST_CASE("man 7 netlink: the header carries length, type, flags and sequence") {
  Message message{RTM_GETLINK, NLM_F_ACK, "test"};
  const auto header = read_at<nlmsghdr>(message.finish(7), 0);
  CHECK(header.nlmsg_len == NLMSG_HDRLEN);
  CHECK(header.nlmsg_type == RTM_GETLINK);
  CHECK(header.nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
  CHECK(header.nlmsg_seq == 7);
}

TEST_CASE("man 7 netlink: attributes are padded to four bytes, their length is not") {
  Message message{1, 0, "test"};
  message.attr(2, "abcd").attr(3, std::uint8_t{9});
  const Bytes expected_attributes{9, 0, 2, 0, 'a', 'b', 'c', 'd', 0, 0, 0, 0,  // length 4 + 5, type 2, text with NUL
                                  5, 0, 3, 0, 9, 0, 0, 0};                     // length 4 + 1, type 3
  const auto bytes = message.finish(0);
  CHECK(Bytes(bytes.begin() + NLMSG_HDRLEN, bytes.end()) == expected_attributes);
  CHECK(read_at<std::uint32_t>(bytes, 0) == NLMSG_HDRLEN + expected_attributes.size());
}

TEST_CASE("a nest's length covers what was put in it, also in a nest of its own") {
  Message message{1, 0, "test"};
  message.nest(1, [](Message& outer) {
    outer.nest(2, [](Message& inner) { inner.attr_be(3, 0x01020304U); });
    outer.attr(4, std::uint16_t{5});
  });
  const auto bytes = message.finish(0);
  const Bytes expected{24, 0, 1, 0x80,            // outer: 4 + 12 + 8
                       12, 0, 2, 0x80,            // inner: 4 + 8
                       8,  0, 3, 0, 1, 2, 3, 4,   // network byte order
                       6,  0, 4, 0, 5, 0, 0, 0};  // host byte order
  CHECK(Bytes(bytes.begin() + NLMSG_HDRLEN, bytes.end()) == expected);
}

TEST_CASE("a request for a veth pair names the peer, its namespace and the bridge") {
  const auto requests = veth_requests({.host_name = "veth1", .bridge_index = 7, .peer_namespace_fd = 5, .mtu = 1400});
  auto create = requests.at(0);
  const auto bytes = create.finish(1);
  const std::span<const std::uint8_t> attributes{bytes.data() + NLMSG_HDRLEN + sizeof(ifinfomsg),
                                                 bytes.size() - NLMSG_HDRLEN - sizeof(ifinfomsg)};
  CHECK(find_attribute(attributes, IFLA_IFNAME)->text() == "veth1");
  CHECK(find_attribute(attributes, IFLA_MASTER)->as<int>() == 7);
  const auto info = find_attribute(attributes, IFLA_LINKINFO);
  REQUIRE(info.has_value());
  CHECK(find_attribute(info->payload, IFLA_INFO_KIND)->text() == "veth");
  const auto data = find_attribute(info->payload, IFLA_INFO_DATA);
  const auto peer = find_attribute(data->payload, VETH_INFO_PEER);
  REQUIRE(peer.has_value());
  const auto inner = peer->payload.subspan(sizeof(ifinfomsg));
  CHECK(find_attribute(inner, IFLA_IFNAME)->text() == "eth0");
  CHECK(find_attribute(inner, IFLA_NET_NS_FD)->as<int>() == 5);
  CHECK(find_attribute(inner, IFLA_MTU)->as<std::uint32_t>() == 1400);
  // IFF_UP for the peer would fail with ENOTCONN: it has no partner yet.
  CHECK(read_at<ifinfomsg>({peer->payload.begin(), peer->payload.end()}, 0).ifi_flags == 0);
}

TEST_CASE("malformed attributes end the list instead of leading outside it") {
  struct Row {
    std::string_view why;
    Bytes bytes;
    std::size_t found;
  };
  for (const auto& row : {Row{"empty", {}, 0}, Row{"a header cut short", {8, 0, 1}, 0},
                          Row{"longer than the buffer", {200, 0, 1, 0, 1, 2, 3, 4}, 0},
                          Row{"shorter than its header", {3, 0, 1, 0, 1, 2, 3, 4}, 0},
                          Row{"one good, one bad", {8, 0, 1, 0, 1, 2, 3, 4, 9, 0, 1, 0, 1}, 1},
                          Row{"good without padding at the end", {5, 0, 1, 0, 1}, 1}}) {
    CAPTURE(row.why);
    CHECK(parse_attributes(row.bytes).size() == row.found);
  }
  CHECK(Attribute{.type = 1, .payload = Bytes{1, 2}}.payload.size() == 2);
  const Bytes short_number{1, 2};
  CHECK(!Attribute{.type = 1, .payload = short_number}.as<std::uint32_t>().has_value());
  const Bytes open_text{'a', 'b'};
  CHECK(Attribute{.type = 1, .payload = open_text}.text() == "ab");
}

TEST_CASE("only requests that the kernel answers are waited for") {
  CHECK(Message{1, NLM_F_ACK, ""}.wants_answer());
  CHECK(Message{1, NLM_F_DUMP, ""}.wants_answer());
  CHECK(!Message{1, 0, ""}.wants_answer());
  CHECK(!Message{1, NLM_F_EXCL, ""}.wants_answer());  // one of the two bits of NLM_F_DUMP
}

}  // namespace husk::netns::netlink
