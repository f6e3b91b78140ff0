// Sizes and ages for people.
#pragma once

#include <cstdint>
#include <string>

namespace husk::images::cli {

std::string size_text(std::uint64_t bytes);               // "4.2 MB", powers of ten as docker and podman
std::string age_text(const std::string& rfc3339_created);  // "3 days ago"; "" when there is no time

}  // namespace husk::images::cli
