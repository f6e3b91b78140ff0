#include <algorithm>

#include "oci-spec/parse_config.h"
#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

constexpr std::size_t kMaxHostname = 64;  // __NEW_UTS_LEN of the kernel; man 2 sethostname

bool is_semver_number(std::string_view text) {
  return parse_uint64(text).has_value() && (text.size() == 1 || text.front() != '0');
}

// Dot-separated identifiers [0-9A-Za-z-]+; numeric ones without leading zero in a pre-release.
bool are_identifiers(std::string_view text, bool pre_release) {
  for (const auto part : split(text, '.')) {
    const auto valid = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    };
    if (part.empty() || !std::ranges::all_of(part, valid)) return false;
    const bool numeric = part.find_first_not_of("0123456789") == std::string_view::npos;
    if (pre_release && numeric && part.size() > 1 && part.front() == '0') return false;
  }
  return true;
}

// SemVer 2.0.0, MAJOR.MINOR.PATCH[-PRE][+BUILD]. A newer minor is accepted: what it adds is unknown
// properties, which are ignored (config.md#configExtensibility). Another major is not compatible.
Status check_version(const std::string& text) {
  std::string_view rest = text;
  bool valid = true;
  if (const auto plus = rest.find('+'); plus != std::string_view::npos) {
    valid = are_identifiers(rest.substr(plus + 1), false);
    rest = rest.substr(0, plus);
  }
  if (const auto dash = rest.find('-'); dash != std::string_view::npos) {
    valid = valid && are_identifiers(rest.substr(dash + 1), true);
    rest = rest.substr(0, dash);
  }
  const auto numbers = split(rest, '.');
  valid = valid && numbers.size() == 3 && std::ranges::all_of(numbers, is_semver_number);
  if (!valid) return rule_error("/ociVersion", format_text("{} is not a SemVer 2.0.0 version", quote(text)));
  if (numbers[0] != "1")
    return rule_error("/ociVersion", format_text("version {} is not compatible with {}", quote(text), kSpecVersion));
  return ok();
}

Status check_root(const Spec& spec) {
  if (!spec.root.has_value()) return rule_error("/root", "is required");
  if (spec.root->path.empty()) return rule_error("/root/path", "must not be empty");
  return ok();
}

bool has_option(const Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

// config.md#configLinuxMountOptions (idmap, ridmap), config.md#configPOSIXMounts (mappings)
Status check_mount(const Mount& mount, bool user_namespace, const std::string& pointer) {
  TRY(check_id_mappings(at(pointer, "uidMappings"), mount.uid_mappings));
  TRY(check_id_mappings(at(pointer, "gidMappings"), mount.gid_mappings));
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
    return rule_error(pointer, "\"uidMappings\" and \"gidMappings\" must be given together");
  const bool wants_map = has_option(mount, "idmap") || has_option(mount, "ridmap");
  if (wants_map && mount.uid_mappings.empty() && !user_namespace)
    return rule_error(pointer, "an idmapped mount needs \"uidMappings\" and \"gidMappings\" or a user namespace");
  return ok();
}

Status check_uts_name(const Spec& spec, std::string_view pointer, const std::string& name) {
  if (name.empty()) return ok();
  if (spec.find_namespace(NamespaceType::uts) == nullptr)
    return rule_error(pointer, "needs a \"uts\" namespace: it would change the name of the host");
  if (name.size() > kMaxHostname)
    return rule_error(pointer, format_text("is longer than the kernel's {} bytes", kMaxHostname));
  return ok();
}

Status check_hooks(const Hooks& hooks) {
  for (const auto& stage : kHookStages) {
    const auto& list = hooks.*stage.hooks;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto pointer = at("/hooks", stage.name, i);
      TRY(check_absolute(at(pointer, "path"), list[i].path));
      if (list[i].timeout_seconds.value_or(1) <= 0)
        return rule_error(at(pointer, "timeout"), "must be greater than zero");
    }
  }
  return ok();
}

Status check_annotations(const StringMap& annotations) {
  for (const auto& [key, value] : annotations)
    if (key.empty()) return rule_error("/annotations", "a key must not be empty");
  return ok();
}

}  // namespace

Status validate_mounts(const std::vector<Mount>& mounts, bool user_namespace, std::string_view pointer) {
  for (std::size_t i = 0; i < mounts.size(); ++i)
    TRY(check_mount(mounts[i], user_namespace, format_text("{}/{}", pointer, i)));
  return ok();
}

Status validate(const Spec& spec) {
  TRY(check_version(spec.oci_version));
  TRY(check_root(spec));
  TRY(validate_mounts(spec.mounts, spec.find_namespace(NamespaceType::user) != nullptr, "/mounts"));
  if (spec.process.has_value()) TRY(validate_process(*spec.process, "/process"));
  TRY(check_uts_name(spec, "/hostname", spec.hostname));
  TRY(check_uts_name(spec, "/domainname", spec.domainname));
  TRY(check_hooks(spec.hooks));
  TRY(check_annotations(spec.annotations));
  TRY(validate_namespaces(spec));
  TRY(validate_linux(spec));
  return validate_sysctls(spec);
}

}  // namespace husk::oci
