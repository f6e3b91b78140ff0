// nf_tables requests: tables, chains, rules with their expressions, sets and elements. Everything in here is
// plain message building. Source: linux/netfilter/nf_tables.h; the rules read like `nft list table`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "netns/netlink/message.h"

namespace husk::netns::nft {

using netlink::Message;

struct Table {
  std::uint8_t family = 0;  // NFPROTO_IPV4, NFPROTO_IPV6
  std::string name;
};

// BATCH_BEGIN, the messages, BATCH_END: the kernel takes all of them or none.
std::vector<Message> make_batch(std::vector<Message> messages);

Message add_table(const Table& table);  // presence is success
Message delete_table(const Table& table);

struct Hook {
  std::string type;  // "nat", "filter"
  std::uint32_t number = 0;  // NF_INET_*
  std::int32_t priority = 0;
};
Message add_chain(const Table& table, const std::string& name, const std::optional<Hook>& hook);

// Types are those that nft prints; sizes are of the padded fields.
struct MapShape {
  std::string name;
  std::vector<std::uint32_t> key_types;
  std::uint32_t key_size = 0;
  std::vector<std::uint32_t> data_types;
  std::uint32_t data_size = 0;
};
inline constexpr std::uint32_t kTypeIpv4 = 7;
inline constexpr std::uint32_t kTypeIpv6 = 8;
inline constexpr std::uint32_t kTypeProtocol = 12;
inline constexpr std::uint32_t kTypePort = 13;
Message add_map(const Table& table, const MapShape& shape, std::uint32_t id);

struct Element {
  std::vector<std::uint8_t> key;
  std::vector<std::uint8_t> data;
};
// One message holds at most kMaxElements (an attribute list ends at 64 KiB).
inline constexpr std::size_t kMaxElements = 256;
std::vector<Message> add_elements(const Table& table, const std::string& map, const std::vector<Element>& elements);
std::vector<Message> delete_elements(const Table& table, const std::string& map, const std::vector<Element>& elements);

// Registers are 4 bytes each, 16 of them.
enum class Register : std::uint32_t {};
constexpr Register word(std::uint32_t index) { return Register{8 + index}; }  // NFT_REG32_00 is 8

using Expression = std::function<void(Message&)>;
Expression load_meta(std::uint32_t key, Register into);
Expression load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, Register into);
Expression load_conntrack_status(Register into);
Expression load_destination_type(Register into);  // fib daddr type
Expression mask(Register at, std::span<const std::uint8_t> bits);
Expression is_equal(Register at, std::span<const std::uint8_t> value);
Expression is_different(Register at, std::span<const std::uint8_t> value);
Expression look_up(const std::string& map, Register key, Register into);
Expression dnat(std::uint8_t family, Register address, Register port);
Expression masquerade();  // with random ports: two flows never race for one
Expression jump(const std::string& chain);
Expression drop();
Expression accept();

Message add_rule(const Table& table, const std::string& chain, std::string text,
                 const std::vector<std::vector<Expression>>& parts);
Message list_rules(const Table& table);

}  // namespace husk::netns::nft
