#include "oci-spec/parse_config.h"

#include "oci-spec/fields.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

// config.md#configRoot
Result<Root> read_root(const JsonReader& json) {
  Root root;
  TRY(read_required(json, "path", root.path));
  TRY(read(json, "readonly", root.readonly));
  return root;
}

void take_receiver(Spec& spec) {
  if (!spec.linux.seccomp.has_value() || !spec.linux.seccomp->listener_path.empty()) return;
  for (const auto& [key, value] : spec.annotations)
    if (key == kSeccompReceiver) spec.linux.seccomp->listener_path = value;
}

Result<Spec> read_spec(const JsonReader& json) {
  TRY(json.expect_object());
  Spec spec;
  TRY(read_required(json, "ociVersion", spec.oci_version));
  TRY(read_object(json, "root", spec.root, read_root));
  TRY(read_list(json, "mounts", spec.mounts, kMaxMounts, read_mount));
  TRY(read_object(json, "process", spec.process, read_process));
  TRY(read(json, "hostname", spec.hostname));
  TRY(read(json, "domainname", spec.domainname));
  TRY(read_object(json, "hooks", spec.hooks, read_hooks));
  TRY(read(json, "annotations", spec.annotations));
  TRY(read_object(json, "linux", spec.linux, read_linux));
  take_receiver(spec);
  return spec;
}

Result<Spec> parse_valid_config(std::string_view text) {
  const auto json = TRY(parse_json(text));
  auto spec = TRY(read_spec(JsonReader{json}));
  TRY(validate(spec));
  return spec;
}

Result<std::vector<Mount>> parse_valid_mounts(std::string_view text) {
  const auto json = TRY(parse_json(text));
  const JsonReader reader{json};
  const auto elements = TRY(reader.elements());
  TRY(check_count(reader, elements.size(), kMaxMounts));
  std::vector<Mount> mounts;
  for (const auto& element : elements) {
    TRY(element.expect_object());
    mounts.push_back(TRY(read_mount(element)));
  }
  // Whether the container has a user namespace, which "idmap" alone would take, only the plan knows.
  TRY(validate_mounts(mounts, true, ""));
  return mounts;
}

}  // namespace

Result<std::vector<Mount>> parse_mounts(std::string_view text) {
  auto mounts = parse_valid_mounts(text);
  if (!mounts.has_value()) return cite(std::move(mounts).error(), "/mounts");
  return mounts;
}

Result<Spec> parse_config(std::string_view text) {
  auto spec = parse_valid_config(text);
  if (!spec.has_value()) return cite(std::move(spec).error(), "");
  return spec;
}

}  // namespace husk::oci
