// AppArmor profiles and SELinux labels: whether this host has them, and how a process asks for its own.
// Read `set_exec_labels` first.
// Source: config.md#linux-process, config-linux.md#mount-label; man 5 proc, /proc/pid/attr.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"
#include "process_plan.h"

namespace husk::runtime {

// Of this host.
bool has_apparmor();
bool has_selinux();

// A label that the host cannot give must not be dropped in silence: the process would run without its confinement.
// Errors: unsupported, with the JSON pointer. `process` may be absent.
Status check_labels(const oci::Process* process, const std::string& mount_label);
Status check_mount_label(const char* asked_by, const std::string& label);

// Whether the kernel would give `label`, "apparmor:NAME" or "selinux:LABEL", to a process of ours: a short child takes it
// on. `asked_by` begins the error. Source: restore_creds() in criu/pie/restorer.c, which does the same.
Status try_label(std::string_view asked_by, const std::string& label);

// Whether config.json asks for one for its process.
bool asks_for_label(const oci::Spec& spec);

inline bool has_labels(const ProcessPlan& plan) { return !plan.apparmor_profile.empty() || !plan.selinux_label.empty(); }

// For the calling thread; they come into force with its next exec. `proc_fd` is the host's verified /proc: a procfs
// of the container could be a fake one (CVE-2019-16884, CVE-2025-52881).
Status set_exec_labels(int proc_fd, const ProcessPlan& plan);

// The session keyring is labelled as the process is, or the process could not search it.
Status join_keyring(int proc_fd, const ProcessPlan& plan);

// Both for a child that is cloned next and gets a closed (-1) proc_fd. The label for keys goes with its exec.
Status set_labels_before_clone(int proc_fd, const ProcessPlan& plan);

}  // namespace husk::runtime
