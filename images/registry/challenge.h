// WWW-Authenticate: which schemes a registry asks for. Source: RFC 9110 section 11.6.1.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace husk::images {

struct Challenge {
  std::string scheme;                                            // lower case: "bearer", "basic"
  std::vector<std::pair<std::string, std::string>> parameters;   // names in lower case

  std::string parameter(std::string_view name) const;  // "" when absent
};

// All challenges of one header value; a header may carry several, with quoted strings and odd spacing.
// What cannot be read is left out: the caller then finds no scheme it knows.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace husk::images
