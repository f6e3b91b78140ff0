#include "images/reference.h"

#include <array>

#include "harness/harness.h"

namespace husk::images {

TEST_CASE("references are normalised as Docker does it") {
  struct Row {
    const char* text;
    const char* name;
    const char* tag;
  };
  constexpr std::array kRows{
      Row{"busybox", "docker.io/library/busybox", "latest"},
      Row{"busybox:1.36", "docker.io/library/busybox", "1.36"},
      Row{"user/app", "docker.io/user/app", "latest"},
      Row{"index.docker.io/busybox", "docker.io/library/busybox", "latest"},
      Row{"localhost/app", "localhost/app", "latest"},
      Row{"localhost:5000/a/b/c:v1", "localhost:5000/a/b/c", "v1"},
      Row{"[::1]:5000/app", "[::1]:5000/app", "latest"},
      Row{"registry.k8s.io/e2e-test-images/nginx:1.14-2", "registry.k8s.io/e2e-test-images/nginx", "1.14-2"},
      Row{"Upper/app", "Upper/app", "latest"},
      Row{"a__b/c.d/e--f", "docker.io/a__b/c.d/e--f", "latest"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.text);
    const auto reference = parse_reference(row.text);
    REQUIRE_OK(reference);
    CHECK(reference.value().name() == row.name);
    CHECK(reference.value().tag == row.tag);
  }
}

TEST_CASE("a digest wins over the tag as selector, and no default tag is added to it") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto both = parse_reference("busybox:1@" + digest);
  REQUIRE_OK(both);
  CHECK(both.value().selector() == digest);
  CHECK(both.value().text() == "docker.io/library/busybox:1@" + digest);
  const auto only = parse_reference("busybox@" + digest);
  REQUIRE_OK(only);
  CHECK(only.value().tag.empty());
}

TEST_CASE("bad references are refused with the wrong part in the error") {
  const std::string long_name(300, 'a');
  const std::array rows{std::string{""},        std::string{"UPPER"},        std::string{"a//b"},
                        std::string{"a/../b"},  std::string{"busybox:"},     std::string{"busybox:a b"},
                        std::string{"-a"},      std::string{"a_-b"},         std::string{"host:0/a"},
                        std::string{"x@sha256:abc"}, std::string{"x@md5:" + std::string(32, 'a')},
                        std::string(64, 'b'),   long_name,                   std::string{"host:99999/a"},
                        std::string{"a\nb"},    std::string{"busybox:" + std::string(129, 't')}};
  for (const auto& text : rows) {
    CAPTURE(text);
    const auto reference = parse_reference(text);
    REQUIRE_FALSE(reference.has_value());
    CHECK(reference.error().kind() == Kind::invalid);
    CHECK(reference.error().what().starts_with("invalid image reference"));
  }
}

}  // namespace husk::images
