#include "restored_label.h"

#include <errno.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "labels.h"

namespace husk::runtime {
namespace {

constexpr const char* kOption = "--lsm-profile";
constexpr std::size_t kMaxLabel = 4096;
constexpr std::size_t kMaxCore = 1U << 20U;
constexpr const char* kNeedsModule =
    "CRIU saves labels of SELinux only when it was built with libselinux, profiles of AppArmor only when it sees /sys/kernel/security/apparmor";

// Without what the kernel puts after it: a NUL (SELinux), a newline, " (enforce)" (AppArmor).
std::string clean(std::string_view text) {
  return std::string{trim(text.substr(0, text.find('\0')))};
}

std::string with_module(std::string_view module, std::string_view name) {
  return name.empty() || name == "unconfined" ? std::string{} : format_text("{}:{}", module, name);
}

}  // namespace

Result<std::string> label_of(pid_t pid) {
  if (has_apparmor()) {
    auto text = read_file(format_text("/proc/{}/attr/apparmor/current", pid), kMaxLabel);
    if (!text.has_value()) text = read_file(format_text("/proc/{}/attr/current", pid), kMaxLabel);  // until kernel 5.8
    auto name = clean(TRY(std::move(text)));
    if (name.ends_with(')')) name = name.substr(0, name.rfind(" ("));
    return with_module("apparmor", name);
  }
  if (!has_selinux()) return std::string{};
  const auto text = TRY(read_file(format_text("/proc/{}/attr/current", pid), kMaxLabel));
  return with_module("selinux", clean(text));
}

Status check_saved_label(int images, const std::string& label) {
  if (label.empty()) return ok();
  const auto name = label.substr(label.find(':') + 1);
  for (const auto& entry : TRY(sys::list_dir(images))) {
    if (!entry.name.starts_with("core-")) continue;
    const auto core = TRY(read_file_at(images, entry.name, kMaxCore));
    if (core.find(name) != std::string::npos) return ok();
  }
  return Error{Kind::unsupported, format_text("CRIU has not saved that the container runs under {}", quote(label))}.hint(kNeedsModule);
}

Result<std::string> plan_restored_label(const std::string& option, const std::string& saved, bool asked) {
  if (option.empty() && !asked) return std::string{};
  if (option.empty() && saved.empty())
    return Error{Kind::invalid, "config.json asks for a profile or label, and the processes in the image had none"}.hint(
        "restore with the config.json of the container that was saved");
  const auto wanted = option.empty() ? saved : option;
  const auto* const field = wanted.starts_with("selinux:") ? "/process/selinuxLabel" : "/process/apparmorProfile";
  TRY(try_label(option.empty() ? field : kOption, wanted));
  // Source: rst_prep_creds_args() in criu/cr-restore.c: what is not in the image is not replaced.
  if (saved.empty() && wanted != "apparmor:unconfined")
    return Error{Kind::unsupported, format_text("{}: the processes in the image had no profile or label, and CRIU only replaces one", quote(kOption))};
  return wanted == "apparmor:unconfined" ? std::string{} : wanted;
}

Status check_restored_label(const std::string& wanted, pid_t init) {
  if (wanted.empty()) return ok();
  const auto now = TRY(label_of(init));
  if (now == wanted) return ok();
  return Error{Kind::internal, format_text("the restored process runs under {} and not under {}", quote(now.empty() ? "unconfined" : now), quote(wanted))}
      .hint(kNeedsModule);
}

Status check_mount_context(const std::string& label) {
  constexpr const char* asked_by = "--lsm-mount-context";
  TRY(check_mount_label(asked_by, label));
  if (label.empty()) return ok();
  const auto policy = sys::openat(AT_FDCWD, "/sys/fs/selinux/context", O_WRONLY);
  if (!policy.has_value()) return ok();  // no rights there: the mounts will tell
  const auto known = sys::write_all(policy.value().get(), label);
  if (known.has_value() || known.error().os_errno() != EINVAL) return ok();
  return Error{Kind::invalid, format_text("{}: the loaded policy does not know the label {}", quote(asked_by), quote(label))};
}

}  // namespace husk::runtime
