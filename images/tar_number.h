// Numbers of tar headers: octal text, and GNU's base-256 for what octal cannot hold.
// Source: GNU tar manual "Extensions"; POSIX ustar.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace husk::images {

// nullopt: neither octal nor base-256, or beyond int64. An empty field is 0.
std::optional<std::int64_t> parse_tar_number(std::string_view field);

// A header block's fields by offset and size (POSIX ustar).
struct TarField {
  std::size_t at;
  std::size_t size;
};
inline constexpr TarField kTarName{0, 100};
inline constexpr TarField kTarMode{100, 8};
inline constexpr TarField kTarUid{108, 8};
inline constexpr TarField kTarGid{116, 8};
inline constexpr TarField kTarSize{124, 12};
inline constexpr TarField kTarMtime{136, 12};
inline constexpr TarField kTarChecksum{148, 8};
inline constexpr TarField kTarType{156, 1};
inline constexpr TarField kTarLink{157, 100};
inline constexpr TarField kTarMagic{257, 8};
inline constexpr TarField kTarDevMajor{329, 8};
inline constexpr TarField kTarDevMinor{337, 8};
inline constexpr TarField kTarPrefix{345, 155};
inline constexpr std::size_t kTarBlock = 512;

// Sum of the block's bytes with the checksum field taken as spaces.
std::int64_t tar_checksum(std::string_view block);

}  // namespace husk::images
