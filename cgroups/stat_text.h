// The forms in which statistics files are written. Pure, but for the huge page sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cgroups/stats.h"

namespace husk::cgroups {

// "some avg10=0.12 avg60=0.00 avg300=0.00 total=42\nfull …"; nullopt where the kernel has no PSI.
std::optional<Pressure> parse_pressure(std::string_view text);

// "anon 1\nfile 2": lines of another form are left out.
NamedNumbers parse_named_numbers(std::string_view text);

// "0-3,7"; at most 8192 entries (the kernel's most CPUs).
std::vector<std::uint32_t> parse_number_list(std::string_view text);

// "1 2 3 \n".
std::vector<std::uint64_t> parse_numbers(std::string_view text);

// v2 io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
void add_io_stat(IoStats& io, std::string_view text);

// v1: "8:0 Read 1", "8:0 5" and a last "Total 6", which belongs to no device.
std::vector<IoEntry> parse_blkio(std::string_view text);

// "max" and absent files: kUnlimited.
std::uint64_t parse_limit(std::string_view text);

// As in the names of hugetlb files: "64KB", "2MB", "1GB".
std::vector<std::string> read_huge_page_sizes();

}  // namespace husk::cgroups
