// A small tar writer of the tests' own, so that the reader is not tested against our writer alone: it
// writes what it is told, wrong things included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace husk::test {

struct Raw {
  std::string name;
  char type = '0';
  std::string data;
  std::string link;
  unsigned mode = 0644;
  std::string uid = "0000000";  // as in the field
  std::string gid = "0000000";
  std::string mtime = "00000000000";
  std::string size;             // "" = of `data`
  std::string magic = std::string("ustar\0", 6) + "00";
  std::string dev_major = "0000000";
  std::string dev_minor = "0000000";
  std::string prefix;
  bool bad_checksum = false;
};

inline void put(std::string& block, std::size_t at, std::string_view text) { block.replace(at, text.size(), text); }

inline std::string octal(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (auto at = digits; at > 0 && value > 0; --at, value /= 8) text[at - 1] = static_cast<char>('0' + value % 8);
  return text;
}

inline std::string tar_entry(const Raw& raw) {
  std::string block(512, '\0');
  put(block, 0, raw.name.substr(0, 100));
  put(block, 100, octal(raw.mode, 7));
  put(block, 108, raw.uid);
  put(block, 116, raw.gid);
  put(block, 124, raw.size.empty() ? octal(raw.data.size(), 11) : raw.size);
  put(block, 136, raw.mtime);
  block[156] = raw.type;
  put(block, 157, raw.link.substr(0, 100));
  put(block, 257, raw.magic);
  put(block, 329, raw.dev_major);
  put(block, 337, raw.dev_minor);
  put(block, 345, raw.prefix);
  put(block, 148, "        ");
  unsigned sum = raw.bad_checksum ? 1 : 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, octal(sum, 6) + std::string("\0 ", 2));
  auto data = raw.data;
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return block + data;
}

inline std::string tar_end() { return std::string(1024, '\0'); }

inline std::string pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x') {
  std::string text;
  for (const auto& [key, value] : records) {
    const auto rest = key.size() + value.size() + 3;
    auto total = rest + 1;
    while (rest + std::to_string(total).size() != total) ++total;
    text += std::to_string(total) + " " + key + "=" + value + "\n";
  }
  return tar_entry({.name = "pax", .type = type, .data = text});
}

inline std::string file(const std::string& name, const std::string& data = "", unsigned mode = 0644) {
  return tar_entry({.name = name, .data = data, .mode = mode});
}
inline std::string directory(const std::string& name, unsigned mode = 0755) {
  return tar_entry({.name = name, .type = '5', .mode = mode});
}
inline std::string soft_link(const std::string& name, const std::string& target) {
  return tar_entry({.name = name, .type = '2', .link = target, .mode = 0777});
}
inline std::string hard_link(const std::string& name, const std::string& target) {
  return tar_entry({.name = name, .type = '1', .link = target});
}

}  // namespace husk::test
