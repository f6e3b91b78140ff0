#include "restored_label.h"

#include <unistd.h>

#include "harness/harness.h"
#include "labels.h"

namespace husk::runtime {
namespace {

using test::error_text;

oci::Spec asking(const std::string& profile, const std::string& label) {
  oci::Spec spec;
  spec.process = oci::Process{};
  spec.process->apparmor_profile = profile;
  spec.process->selinux_label = label;
  return spec;
}

TEST_CASE("restored label: nothing is asked for, so nothing is demanded; what config.json asks for must be in the image") {
  CHECK(plan_restored_label("", "", false).value().empty());
  CHECK(plan_restored_label("", "apparmor:x", false).value().empty());
  CHECK(!asks_for_label(oci::Spec{}));
  CHECK(!asks_for_label(asking("unconfined", "")));
  CHECK(asks_for_label(asking("x", "")));
  CHECK(asks_for_label(asking("", "a:b:c:s0")));
  CHECK(plan_restored_label("", "", true).error().what().starts_with("config.json asks for a profile or label"));
  for (const auto* option : {"junk", "apparmor:", "none:", ":x"}) {
    CAPTURE(option);
    CHECK(plan_restored_label(option, "apparmor:x", false).error().what().find("must be apparmor:NAME or selinux:LABEL") != std::string::npos);
  }
  CHECK(plan_restored_label("apparmor:x\ny", "apparmor:x", false).error().kind() == Kind::invalid);
}

TEST_CASE("restored label: an image without the label that config.json asked for is none") {
  const test::TempDir directory;
  const auto images = sys::openat(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(images);
  CHECK(check_saved_label(images.value().get(), "").has_value());
  CHECK(!check_saved_label(images.value().get(), "apparmor:two words").has_value());
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "core-1.img", std::string{"\0\1two\2", 6}));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "inventory.img", "two words"));
  CHECK(error_text(check_saved_label(images.value().get(), "apparmor:two words")).find("\"apparmor:two words\"") != std::string::npos);
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "core-7.img", std::string{"\0\1two words\2", 12}));
  CHECK(check_saved_label(images.value().get(), "apparmor:two words").has_value());
}

TEST_CASE("restored label: of this process, in the form of --lsm-profile, and only another one than was wanted is an error") {
  const auto own = label_of(::getpid());
  REQUIRE_OK(own);
  CHECK((own.value().empty() || own.value().starts_with("apparmor:") || own.value().starts_with("selinux:")));
  CHECK(check_restored_label("", ::getpid()).has_value());
  CHECK(check_restored_label(own.value(), ::getpid()).has_value());
  CHECK(!check_restored_label("apparmor:husk-none", ::getpid()).has_value());
}

}  // namespace
}  // namespace husk::runtime
