// Which field of config.json asked for a file: what its error begins with.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "cgroups/cgroup.h"
#include "harness/harness.h"

namespace husk::test {

// Each of `expected`, file and field, is there, and no file is without a field.
inline void check_fields(const std::vector<cgroups::ControlFile>& files,
                         std::initializer_list<std::pair<std::string_view, std::string_view>> expected) {
  for (const auto& [name, field] : expected) {
    CAPTURE(name);
    const auto file = std::ranges::find(files, name, &cgroups::ControlFile::name);
    REQUIRE(file != files.end());
    CHECK(file->field == field);
  }
  for (const auto& file : files) CHECK_FALSE(file.field.empty());
}

}  // namespace husk::test
