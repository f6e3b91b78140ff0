// Paths in the kernel's texts, made whole again.
#pragma once

#include <string>
#include <string_view>

namespace husk {

// "\040" → " ". Source: man 5 proc, mountinfo; mangle_path() in fs/seq_file.c.
std::string unescape_octal(std::string_view text);

}  // namespace husk
