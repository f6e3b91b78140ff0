#include "netns/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::netns::nft {
namespace {

constexpr std::uint32_t kTypeBits = 6;  // nft packs the types of a concatenation into one number

Message request(int type, int flags, std::uint8_t family, std::string call) {
  Message message{static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type), static_cast<std::uint16_t>(flags),
                  std::move(call)};
  message.append(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0});
  return message;
}

Message batch_frame(std::uint16_t type) {
  Message message{type, 0, "nf_tables batch"};
  message.append(
      nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)});
  return message;
}

std::uint32_t pack_types(const std::vector<std::uint32_t>& types) {
  std::uint32_t packed = 0;
  for (const auto type : types) packed = (packed << kTypeBits) | type;
  return packed;
}

template <class Fill>
Expression expression(std::string name, Fill fill) {
  return [name = std::move(name), fill = std::move(fill)](Message& rule) {
    rule.nest(NFTA_LIST_ELEM, [&](Message& element) {
      element.attr(NFTA_EXPR_NAME, name);
      element.nest(NFTA_EXPR_DATA, fill);
    });
  };
}

Message& put_register(Message& message, std::uint16_t type, Register reg) {
  return message.attr_be(type, static_cast<std::uint32_t>(reg));
}

void put_value(Message& message, std::uint16_t type, std::span<const std::uint8_t> value) {
  message.nest(type, [&](Message& data) { data.bytes(NFTA_DATA_VALUE, value); });
}

Expression compare(Register at, std::uint32_t operation, std::span<const std::uint8_t> value) {
  return expression("cmp", [=, bytes = std::vector<std::uint8_t>{value.begin(), value.end()}](Message& data) {
    put_register(data, NFTA_CMP_SREG, at).attr_be(NFTA_CMP_OP, operation);
    put_value(data, NFTA_CMP_DATA, bytes);
  });
}

Expression verdict(int code, const std::string& chain) {
  return expression("immediate", [=](Message& data) {
    data.attr_be(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    data.nest(NFTA_IMMEDIATE_DATA, [&](Message& value) {
      value.nest(NFTA_DATA_VERDICT, [&](Message& inner) {
        inner.attr_be(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
        if (!chain.empty()) inner.attr(NFTA_VERDICT_CHAIN, chain);
      });
    });
  });
}

std::vector<Message> element_requests(int type, int flags, std::string_view verb, const Table& table,
                                      const std::string& map, const std::vector<Element>& elements) {
  std::vector<Message> messages;
  for (std::size_t at = 0; at < elements.size(); at += kMaxElements) {
    auto message = request(type, flags, table.family, format_text("{} of map {} {}", verb, table.name, map));
    message.attr(NFTA_SET_ELEM_LIST_TABLE, table.name).attr(NFTA_SET_ELEM_LIST_SET, map);
    message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
      for (std::size_t i = at; i < std::min(elements.size(), at + kMaxElements); ++i) {
        list.nest(NFTA_LIST_ELEM, [&](Message& element) {
          put_value(element, NFTA_SET_ELEM_KEY, elements[i].key);
          if (!elements[i].data.empty()) put_value(element, NFTA_SET_ELEM_DATA, elements[i].data);
        });
      }
    });
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

std::vector<Message> make_batch(std::vector<Message> messages) {
  std::vector<Message> batch;
  batch.reserve(messages.size() + 2);
  batch.push_back(batch_frame(NFNL_MSG_BATCH_BEGIN));
  for (auto& message : messages) batch.push_back(std::move(message));
  batch.push_back(batch_frame(NFNL_MSG_BATCH_END));
  return batch;
}

Message add_table(const Table& table) {
  auto message = request(NFT_MSG_NEWTABLE, NLM_F_ACK | NLM_F_CREATE, table.family,
                         format_text("NFT_MSG_NEWTABLE {}", table.name));
  message.attr(NFTA_TABLE_NAME, table.name);
  return message;
}

Message delete_table(const Table& table) {
  auto message = request(NFT_MSG_DELTABLE, NLM_F_ACK, table.family, format_text("NFT_MSG_DELTABLE {}", table.name));
  message.attr(NFTA_TABLE_NAME, table.name);
  return message;
}

Message add_chain(const Table& table, const std::string& name, const std::optional<Hook>& hook) {
  auto message = request(NFT_MSG_NEWCHAIN, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, table.family,
                         format_text("NFT_MSG_NEWCHAIN {} {}", table.name, name));
  message.attr(NFTA_CHAIN_TABLE, table.name).attr(NFTA_CHAIN_NAME, name);
  if (!hook.has_value()) return message;
  message.nest(NFTA_CHAIN_HOOK, [&](Message& data) {
    data.attr_be(NFTA_HOOK_HOOKNUM, hook->number);
    data.attr_be(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(hook->priority));
  });
  message.attr_be(NFTA_CHAIN_POLICY, NF_ACCEPT).attr(NFTA_CHAIN_TYPE, hook->type);
  return message;
}

Message add_map(const Table& table, const MapShape& shape, std::uint32_t id) {
  auto message = request(NFT_MSG_NEWSET, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, table.family,
                         format_text("NFT_MSG_NEWSET {} {}", table.name, shape.name));
  message.attr(NFTA_SET_TABLE, table.name).attr(NFTA_SET_NAME, shape.name).attr_be(NFTA_SET_ID, id);
  message.attr_be(NFTA_SET_FLAGS, NFT_SET_MAP);
  message.attr_be(NFTA_SET_KEY_TYPE, pack_types(shape.key_types)).attr_be(NFTA_SET_KEY_LEN, shape.key_size);
  message.attr_be(NFTA_SET_DATA_TYPE, pack_types(shape.data_types)).attr_be(NFTA_SET_DATA_LEN, shape.data_size);
  return message;
}

std::vector<Message> add_elements(const Table& table, const std::string& map, const std::vector<Element>& elements) {
  return element_requests(NFT_MSG_NEWSETELEM, NLM_F_ACK | NLM_F_CREATE, "NFT_MSG_NEWSETELEM", table, map, elements);
}

std::vector<Message> delete_elements(const Table& table, const std::string& map,
                                     const std::vector<Element>& elements) {
  return element_requests(NFT_MSG_DELSETELEM, NLM_F_ACK, "NFT_MSG_DELSETELEM", table, map, elements);
}

Expression load_meta(std::uint32_t key, Register into) {
  return expression("meta", [=](Message& data) {
    put_register(data.attr_be(NFTA_META_KEY, key), NFTA_META_DREG, into);
  });
}

Expression load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, Register into) {
  return expression("payload", [=](Message& data) {
    put_register(data, NFTA_PAYLOAD_DREG, into).attr_be(NFTA_PAYLOAD_BASE, base);
    data.attr_be(NFTA_PAYLOAD_OFFSET, offset).attr_be(NFTA_PAYLOAD_LEN, length);
  });
}

Expression load_conntrack_status(Register into) {
  return expression("ct", [=](Message& data) {
    put_register(data.attr_be(NFTA_CT_KEY, NFT_CT_STATUS), NFTA_CT_DREG, into);
  });
}

Expression load_destination_type(Register into) {
  return expression("fib", [=](Message& data) {
    put_register(data, NFTA_FIB_DREG, into).attr_be(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    data.attr_be(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
}

Expression mask(Register at, std::span<const std::uint8_t> bits) {
  return expression("bitwise", [=, kept = std::vector<std::uint8_t>{bits.begin(), bits.end()}](Message& data) {
    put_register(put_register(data, NFTA_BITWISE_SREG, at), NFTA_BITWISE_DREG, at);
    data.attr_be(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(kept.size()));
    put_value(data, NFTA_BITWISE_MASK, kept);
    put_value(data, NFTA_BITWISE_XOR, std::vector<std::uint8_t>(kept.size()));
  });
}

Expression is_equal(Register at, std::span<const std::uint8_t> value) { return compare(at, NFT_CMP_EQ, value); }

Expression is_different(Register at, std::span<const std::uint8_t> value) { return compare(at, NFT_CMP_NEQ, value); }

Expression look_up(const std::string& map, Register key, Register into) {
  return expression("lookup", [=](Message& data) {
    put_register(data.attr(NFTA_LOOKUP_SET, map), NFTA_LOOKUP_SREG, key);
    put_register(data, NFTA_LOOKUP_DREG, into);
  });
}

Expression dnat(std::uint8_t family, Register address, Register port) {
  return expression("nat", [=](Message& data) {
    data.attr_be(NFTA_NAT_TYPE, NFT_NAT_DNAT).attr_be(NFTA_NAT_FAMILY, family);
    put_register(put_register(data, NFTA_NAT_REG_ADDR_MIN, address), NFTA_NAT_REG_PROTO_MIN, port);
  });
}

Expression masquerade() {
  return expression("masq", [](Message& data) { data.attr_be(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY); });
}

Expression jump(const std::string& chain) { return verdict(NFT_JUMP, chain); }
Expression drop() { return verdict(NF_DROP, {}); }
Expression accept() { return verdict(NF_ACCEPT, {}); }

Message add_rule(const Table& table, const std::string& chain, std::string text,
                 const std::vector<std::vector<Expression>>& parts) {
  auto message = request(NFT_MSG_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND, table.family,
                         format_text("NFT_MSG_NEWRULE {} {}: {}", table.name, chain, text));
  message.attr(NFTA_RULE_TABLE, table.name).attr(NFTA_RULE_CHAIN, chain);
  message.nest(NFTA_RULE_EXPRESSIONS, [&](Message& list) {
    for (const auto& part : parts)
      for (const auto& one : part) one(list);
  });
  return message;
}

Message list_rules(const Table& table) {
  auto message = request(NFT_MSG_GETRULE, NLM_F_DUMP, table.family, format_text("NFT_MSG_GETRULE {}", table.name));
  message.attr(NFTA_RULE_TABLE, table.name);
  return message;
}

}  // namespace husk::netns::nft
