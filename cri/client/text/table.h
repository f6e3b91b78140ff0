// Plain aligned tables, sizes and ages as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace husk::pod {

// Columns are as wide as their widest cell (UTF-8 characters count once), two spaces apart; no
// trailing spaces. Control characters in cells become "?", so that no name can move the cursor.
std::string format_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

std::string format_size(std::uint64_t bytes);                            // "1.5 MiB"
std::string format_age(std::int64_t then_ns, std::int64_t now_ns);       // "3 min"; "-" for 0
std::string format_cpu(std::uint64_t nanoseconds);                       // CPU time: "1.25 s"
std::string short_id(const std::string& id);                             // 13 characters, as crictl shows

}  // namespace husk::pod
