#include "oci-spec/sysctl.h"

#include <algorithm>
#include <array>

#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

struct Row {
  std::string_view path;  // with "/" at the end: all below
  NamespaceType type;
};
// Kernel: ipc/ipc_sysctl.c, ipc/mq_sysctl.c, kernel/utsname_sysctl.c, net/sysctl_net.c, kernel/ucount.c.
constexpr std::array kNamespaced{Row{"kernel/msgmax", NamespaceType::ipc},
                                 Row{"kernel/msgmnb", NamespaceType::ipc},
                                 Row{"kernel/msgmni", NamespaceType::ipc},
                                 Row{"kernel/sem", NamespaceType::ipc},
                                 Row{"kernel/shmall", NamespaceType::ipc},
                                 Row{"kernel/shmmax", NamespaceType::ipc},
                                 Row{"kernel/shmmni", NamespaceType::ipc},
                                 Row{"kernel/shm_rmid_forced", NamespaceType::ipc},
                                 Row{"kernel/auto_msgmni", NamespaceType::ipc},
                                 Row{"kernel/msg_next_id", NamespaceType::ipc},
                                 Row{"kernel/sem_next_id", NamespaceType::ipc},
                                 Row{"kernel/shm_next_id", NamespaceType::ipc},
                                 Row{"fs/mqueue/", NamespaceType::ipc},
                                 Row{"kernel/hostname", NamespaceType::uts},
                                 Row{"kernel/domainname", NamespaceType::uts},
                                 Row{"net/", NamespaceType::network},
                                 Row{"user/", NamespaceType::user}};

Status check_sysctl(const Spec& spec, const std::string& name) {
  constexpr std::string_view kPlace = "/linux/sysctl";
  auto path = sysctl_path(name);
  if (!path.has_value()) return rule_error(kPlace, path.error().what());
  const auto type = find_sysctl_namespace(path.value());
  if (!type.has_value())
    return rule_error(kPlace, format_text("sysctl {} is not in a separate kernel namespace: it would change the host", quote(name)));
  if (spec.find_namespace(*type) == nullptr)
    return rule_error(kPlace, format_text("{} needs a \"{}\" namespace", quote(name), namespace_name(*type)));
  if (path.value() == "kernel/hostname" && !spec.hostname.empty())
    return rule_error(kPlace, format_text("{} contradicts \"hostname\": set one of them", quote(name)));
  if (path.value() == "kernel/domainname" && !spec.domainname.empty())
    return rule_error(kPlace, format_text("{} contradicts \"domainname\": set one of them", quote(name)));
  return ok();
}

}  // namespace

Result<std::string> sysctl_path(std::string_view name) {
  std::string path{name};
  const auto first = name.find_first_of("./");
  if (first != std::string_view::npos && name[first] == '.')
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  for (const auto part : split(path, '/'))
    if (part.empty() || part == "." || part == ".." || part.find_first_of(" \t\n") != std::string_view::npos ||
        part.find('\0') != std::string_view::npos)
      return Error{Kind::invalid, format_text("{} is no name of a kernel parameter", quote(name))};
  return path;
}

std::optional<NamespaceType> find_sysctl_namespace(std::string_view path) {
  for (const auto& row : kNamespaced)
    if (row.path == path || (row.path.ends_with('/') && path.starts_with(row.path))) return row.type;
  return std::nullopt;
}

Status validate_sysctls(const Spec& spec) {
  std::vector<std::string> seen;
  for (const auto& [name, value] : spec.linux.sysctl) {
    TRY(check_sysctl(spec, name));
    auto path = TRY(sysctl_path(name));
    if (std::ranges::find(seen, path) != seen.end())
      return rule_error("/linux/sysctl", format_text("{} is given twice in different spelling", quote(name)));
    seen.push_back(std::move(path));
  }
  return ok();
}

}  // namespace husk::oci
