#include "images/platform.h"

#include "harness/harness.h"

namespace husk::images {
namespace {

int score(const std::string& wanted, const std::string& offered) {
  const auto a = parse_platform(wanted);
  const auto b = parse_platform(offered);
  REQUIRE_OK(a);
  REQUIRE_OK(b);
  return platform_score(a.value(), b.value());
}

}  // namespace

TEST_CASE("image-index.md#platform-object: a v3 machine takes v3 before v2 before the base line, never v4") {
  CHECK(score("linux/amd64/v3", "linux/amd64/v3") > score("linux/amd64/v3", "linux/amd64/v2"));
  CHECK(score("linux/amd64/v3", "linux/amd64/v2") > score("linux/amd64/v3", "linux/amd64"));
  CHECK(score("linux/amd64/v3", "linux/amd64") >= 0);
  CHECK(score("linux/amd64/v3", "linux/amd64/v4") < 0);
}

TEST_CASE("other names of an architecture mean the same") {
  CHECK(score("linux/aarch64", "linux/arm64/v8") >= 0);
  CHECK(score("linux/x86_64", "linux/amd64/v1") >= 0);
  CHECK(score("linux/armhf", "linux/arm/v7") >= 0);
  CHECK(score("linux/arm/v7", "linux/arm/v6") >= 0);
  CHECK(score("linux/arm/v6", "linux/arm/v7") < 0);
}

TEST_CASE("another system, another architecture or an unknown variant does not suit") {
  CHECK(score("linux/amd64", "windows/amd64") < 0);
  CHECK(score("linux/amd64", "linux/arm64") < 0);
  CHECK(score("linux/amd64", "linux/amd64/weird") < 0);
  CHECK(score("linux/amd64", "unknown/unknown") < 0);
  CHECK_FALSE(parse_platform("linux").has_value());
  CHECK_FALSE(parse_platform("a/b/c/d").has_value());
}

}  // namespace husk::images
