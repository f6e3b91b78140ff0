#include "harness/harness.h"
#include "oci-spec/parse_config.h"

namespace husk::oci {
namespace {

std::string fixture(const std::string& name) {
  const auto text = read_file(husk::test::source_dir() + "/tests/fixtures/config/" + name);
  REQUIRE_OK(text);
  return text.value();
}

// Equal as JSON values, whatever the order of members.
bool same(const Json& a, const Json& b) {
  if (const auto* object = a.as_object()) {
    if (!b.is_object() || object->size() != b.as_object()->size()) return false;
    for (const auto& member : *object) {
      const auto* other = b.find(member.name);
      if (other == nullptr || !same(member.value, *other)) return false;
    }
    return true;
  }
  if (const auto* array = a.as_array()) {
    if (!b.is_array() || array->size() != b.as_array()->size()) return false;
    for (std::size_t i = 0; i < array->size(); ++i)
      if (!same((*array)[i], (*b.as_array())[i])) return false;
    return true;
  }
  return a.dump() == b.dump();
}

TEST_CASE("parse_resources: members of linux.resources alone; nothing at all, or null, is no change") {
  for (const auto* text : {"{}", R"({"memory":null})", R"({"later":1,"pids":{"limit":5}})"}) {
    CAPTURE(text);
    CHECK(parse_resources(text).has_value());
  }
  for (const auto* text : {R"({"resources":{}})", R"({"linux":{"resources":{"pids":{"limit":5}}}})", R"({"later":1})", "[]"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_resources(text).has_value());
  }
}

TEST_CASE("what callers write is accepted, and written back it parses to the same") {
  for (const auto* name : {"minimal.json", "containerd.json", "podman.json", "full.json"}) {
    CAPTURE(name);
    const auto spec = parse_config(fixture(name));
    REQUIRE_OK(spec);
    const auto text = write_config(spec.value());
    const auto again = parse_config(text);
    REQUIRE_OK(again);
    CHECK(write_config(again.value()) == text);
  }
}

TEST_CASE("every property of runtime-spec 1.3 for Linux survives parse and write") {
  const auto text = fixture("full.json");
  const auto spec = parse_config(text);
  REQUIRE_OK(spec);
  const auto written = parse_json(write_config(spec.value()));
  const auto original = parse_json(text);
  REQUIRE_OK(written);
  REQUIRE_OK(original);
  // The fixture has no value that equals a default: those would not be written.
  for (const auto& member : *original.value().as_object()) {
    CAPTURE(member.name);
    const auto* other = written.value().find(member.name);
    REQUIRE(other != nullptr);
    if (member.name != "linux") CHECK(same(member.value, *other));
  }
  for (const auto& member : *original.value().find("linux")->as_object()) {
    CAPTURE(member.name);
    const auto* other = written.value().find("linux")->find(member.name);
    REQUIRE(other != nullptr);
    CHECK(same(member.value, *other));
  }
}

TEST_CASE("process and resources alone survive parse and write") {
  const auto spec = parse_config(fixture("full.json"));
  REQUIRE_OK(spec);
  const auto process = parse_process(write_process(*spec.value().process));
  REQUIRE_OK(process);
  CHECK(write_process(process.value()) == write_process(*spec.value().process));
  const auto resources = parse_resources(write_resources(spec.value().linux.resources));
  REQUIRE_OK(resources);
  CHECK(write_resources(resources.value()) == write_resources(spec.value().linux.resources));
}

TEST_CASE("config.md#configMounts: an array of mounts alone survives parse and write; errors name the place in it") {
  const auto spec = parse_config(fixture("full.json"));
  REQUIRE_OK(spec);
  REQUIRE_FALSE(spec.value().mounts.empty());
  const auto mounts = parse_mounts(write_mounts(spec.value().mounts));
  REQUIRE_OK(mounts);
  CHECK(write_mounts(mounts.value()) == write_mounts(spec.value().mounts));
  CHECK(parse_mounts("[]").value().empty());
  const auto wrong = parse_mounts(R"([{"destination":"/a"},{"destination":"/b","options":"ro"}])");
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().to_string() == "\"/1/options\": must be an array, not string (hint: see runtime-spec config.md#configMounts)");
  const auto half = parse_mounts(R"([{"destination":"/a","uidMappings":[{"containerID":0,"hostID":0,"size":1}]}])");
  CHECK_FALSE(half.has_value());
}

TEST_CASE("config.md#configExtensibility: unknown properties are ignored, at every level") {
  const auto spec = parse_config(R"({"ociVersion":"1.0.2","future":{"x":[1,2]},"root":{"path":"r","later":1},
    "process":{"user":{"uid":0,"gid":0,"username":"x"},"args":["a"],"cwd":"/","commandLine":"w"},
    "linux":{"landlock":{"rules":[]},"resources":{"memory":{"newer":true}}},"windows":{"layerFolders":[]}})");
  CHECK_OK(spec);
}

TEST_CASE("null counts as absent, as Go writers send it") {
  const auto spec = parse_config(R"({"ociVersion":"1.0.2","root":{"path":"r"},"process":null,"mounts":null,"hooks":null,
    "linux":{"seccomp":null,"resources":{"devices":null},"uidMappings":null}})");
  REQUIRE_OK(spec);
  CHECK_FALSE(spec.value().process.has_value());
}

}  // namespace
}  // namespace husk::oci
