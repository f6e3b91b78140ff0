#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "exec.h"
#include "oci-spec/parse_config.h"

namespace husk::runtime {
namespace {

// A later value of a variable takes the place of the earlier one.
void set_variable(std::vector<std::string>& env, const std::string& item) {
  const auto name = item.substr(0, item.find('=') + 1);
  const auto found = std::find_if(env.begin(), env.end(), [&](const auto& other) { return other.starts_with(name); });
  if (found != env.end())
    *found = item;
  else
    env.push_back(item);
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

// Bounding, effective and permitted; never inheritable (CVE-2022-24769, CVE-2022-27650).
void add_capabilities(oci::Process& process, const std::vector<std::string>& caps) {
  if (caps.empty()) return;
  if (!process.capabilities.has_value()) process.capabilities.emplace();
  for (const auto& name : caps) {
    add_once(process.capabilities->bounding, name);
    add_once(process.capabilities->effective, name);
    add_once(process.capabilities->permitted, name);
  }
}

Error cgroup_error(const std::string& text, const char* problem) {
  return Error{Kind::invalid, format_text("--cgroup {}: {}", quote(text), problem)};
}

Status merge_flags(oci::Process& process, const ExecOptions& options) {
  process.args = options.args;
  process.terminal = options.terminal;
  if (!options.terminal) process.console_size.reset();
  for (const auto& item : options.env) {
    if (item.find('=') == std::string::npos || item.front() == '=')
      return Error{Kind::invalid, format_text("--env {}: must look like NAME=value", quote(item))};
    set_variable(process.env, item);
  }
  if (!options.cwd.empty()) process.cwd = options.cwd;
  if (!options.user.empty()) {
    const auto ids = TRY(parse_user(options.user));
    process.user.uid = ids.uid;
    if (ids.gid.has_value()) process.user.gid = *ids.gid;
  }
  auto& groups = process.user.additional_gids;
  groups.insert(groups.end(), options.additional_gids.begin(), options.additional_gids.end());
  process.no_new_privileges = process.no_new_privileges || options.no_new_privileges;
  if (!options.apparmor_profile.empty()) process.apparmor_profile = options.apparmor_profile;
  if (!options.selinux_label.empty()) process.selinux_label = options.selinux_label;
  add_capabilities(process, options.caps);
  return ok();
}

}  // namespace

Result<std::vector<cgroups::Below>> parse_cgroups(const std::vector<std::string>& texts) {
  std::vector<cgroups::Below> all;
  std::vector<std::string> named;
  for (const auto& text : texts) {
    cgroups::Below below;
    const auto colon = text.find(':');
    if (colon != std::string::npos)
      for (const auto name : split(std::string_view{text}.substr(0, colon), ',')) below.controllers.emplace_back(name);
    const auto path = colon == std::string::npos ? text : text.substr(colon + 1);
    if (path.empty()) return cgroup_error(text, "the path is missing");
    const auto first = path.find_first_not_of('/');
    if (first != std::string::npos) below.path = path.substr(first);
    if (colon == std::string::npos && texts.size() > 1)
      return cgroup_error(text, "given several times, each needs controllers, as memory,pids:PATH");
    for (const auto& name : below.controllers) {
      if (name.empty()) return cgroup_error(text, "a controller's name is empty");
      if (std::ranges::find(named, name) != named.end()) return cgroup_error(text, "a controller is named twice");
      named.push_back(name);
    }
    all.push_back(std::move(below));
  }
  return all;
}

Result<UserIds> parse_user(std::string_view text) {
  const auto bad = [&] {
    return Error{Kind::invalid, format_text("--user {}: must be UID or UID:GID in numbers", quote(text))};
  };
  const auto colon = text.find(':');
  UserIds ids;
  const auto uid = parse_uint32(text.substr(0, colon));
  // 4294967295 is "no change" to the kernel: the process would stay root. Source: man 2 setresuid.
  constexpr std::uint32_t kNoChange = 0xffffffffU;
  if (!uid.has_value() || uid.value() == kNoChange) return bad();
  ids.uid = uid.value();
  if (colon == std::string_view::npos) return ids;
  const auto gid = parse_uint32(text.substr(colon + 1));
  if (!gid.has_value() || gid.value() == kNoChange) return bad();
  ids.gid = gid.value();
  return ids;
}

Result<oci::Process> merge_process(const oci::Spec& spec, const ExecOptions& options) {
  if (!options.process_file.empty()) {
    const auto text = TRY(read_file(options.process_file, oci::JsonLimits{}.max_bytes).during("read --process"));
    auto process = TRY(oci::parse_process(text).during(format_text("--process {}", options.process_file)));
    process.terminal = process.terminal || options.terminal;
    process.no_new_privileges = process.no_new_privileges || options.no_new_privileges;
    return process;
  }
  auto process = spec.process.value_or(oci::Process{.cwd = "/"});
  TRY(merge_flags(process, options));
  TRY(oci::validate_process(process, "/process"));
  return process;
}

}  // namespace husk::runtime
