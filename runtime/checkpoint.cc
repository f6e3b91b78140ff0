#include "checkpoint.h"

#include <algorithm>
#include <iterator>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/find_freezer.h"
#include "criu_call.h"
#include "image_directory.h"
#include "labels.h"
#include "outside.h"
#include "rootfs/mount_plan.h"

namespace husk::runtime {
namespace {

constexpr const char* kLogFile = "dump.log";
constexpr int kEndMs = 10'000;

Status check_phase(const Opened& opened) {
  if (opened.phase == Phase::running || opened.phase == Phase::paused) return ok();
  return Error{Kind::wrong_state, format_text("container cannot be checkpointed in {} state", name_of(opened.phase))};
}

// The image of a pre-dump before, from which CRIU takes what has not changed: relative to the new image, so that both
// can be moved together.
Status check_parent(const CheckpointOptions& options) {
  const auto& parent = options.common.criu.parent;
  if (parent.empty()) return ok();
  if (parent.starts_with('/'))
    return Error{Kind::invalid, "--parent-path must be relative to --image-path"};
  auto path = format_text("{}/{}", options.common.image_path, parent);
  // The kernel finds nothing through a directory that is still to be made.
  if (!path_exists(options.common.image_path)) path = rootfs::clean_path(path);
  const auto info = sys::fstatat(AT_FDCWD, path, 0);
  if (info.has_value() && S_ISDIR(info.value().st_mode)) return ok();
  return Error{Kind::not_found, format_text("--parent-path {}: {} is no directory", quote(parent), quote(path))};
}

// A namespace that config.json names belongs to somebody else: CRIU leaves it alone.
Status add_namespace(const oci::Spec& spec, oci::NamespaceType type, const char* name, const char* key, criu::Request& request) {
  const auto* item = spec.find_namespace(type);
  if (item == nullptr || item->path.empty()) return ok();
  const auto info = TRY(sys::fstatat(AT_FDCWD, item->path, 0).during(format_text("look at the {} namespace", name)));
  request.externals.push_back(format_text("{}[{}]:{}", name, info.st_ino, key));
  return ok();
}

Result<Seen> look(const Opened& opened, const oci::Spec& spec) {
  const auto plan = TRY(rootfs::make_plan(spec, {.bundle = opened.record.bundle,
                                                 .no_pivot = opened.record.no_pivot,
                                                 .new_user_namespace = spec.find_namespace(oci::NamespaceType::user) != nullptr,
                                                 .cgroup2 = cgroups::host_version() == cgroups::Version::v2}));
  return look_outside(plan, opened.record.init.pid).during("look at the container's mounts");
}

struct Directories {
  UniqueFd images;
  UniqueFd work;  // closed: images
};

Result<Directories> open_directories(const CriuOptions& options) {
  Directories directories{.images = TRY(open_image_directory(options.image_path, true).during("--image-path"))};
  TRY(check_images(directories.images).during("--image-path"));
  if (!options.work_path.empty()) directories.work = TRY(open_image_directory(options.work_path, true).during("--work-path"));
  TRY(remove_logs(directories.work.is_open() ? directories.work : directories.images, "dump"));
  return directories;
}

Result<criu::Request> make_request(const CheckpointOptions& options, const Opened& opened, const oci::Spec& spec,
                                   const Directories& directories) {
  auto request = options.common.criu;
  request.action = options.pre_dump ? "pre-dump" : "dump";
  request.pid = opened.record.init.pid;
  request.root = opened.record.rootfs;
  request.images_fd = directories.images.get();
  request.work_fd = directories.work.get();
  request.log_file = kLogFile;
  request.log_path = format_text("{}/{}", options.common.work_path.empty() ? options.common.image_path : options.common.work_path, kLogFile);
  request.track_memory = options.pre_dump || !request.parent.empty();
  request.config_file = criu_config_file(opened.record.annotations);
  if (opened.record.cgroup_driver != cgroups::Driver::disabled)
    request.freeze_cgroup = cgroups::find_freezer(opened.record.cgroup_path, opened.record.cgroup_version).value_or("");
  if (opened.record.cgroup_path.empty()) request.cgroup_mode = "ignore";
  TRY(add_namespace(spec, oci::NamespaceType::network, "net", kNetKey, request));
  TRY(add_namespace(spec, oci::NamespaceType::pid, "pid", kPidKey, request));
  return request;
}

Status keep(const Directories& directories, const Outside& outside) {
  return write_atomically(directories.images.get(), kOutsideFile, write_outside(outside), 0600).during("--image-path");
}

Status thaw(const Opened& opened) {
  const auto cgroup = open_cgroup(opened.record);
  if (!cgroup.has_value()) return cgroup.error().kind() == Kind::not_found ? ok() : Status{cgroup.error()};
  return cgroup.value()->thaw();
}

Status freeze(const Opened& opened) {
  const auto cgroup = TRY(open_cgroup(opened.record));
  return cgroup->freeze();
}

// CRIU stops the processes itself, and waits for ever for those that the v1 freezer holds.
Result<pid_t> call_criu_on(const Opened& opened, const CriuCall& call, bool goes_on) {
  if (opened.phase == Phase::paused) TRY(thaw(opened).during("thaw cgroup"));
  auto done = call_criu(call);
  if (opened.phase == Phase::running && !done.has_value()) (void)thaw(opened);  // CRIU does it, unless it was killed
  if (opened.phase == Phase::paused && (goes_on || !done.has_value())) TRY(freeze(opened).during("freeze cgroup"));
  return done;
}

// CRIU has killed it; in the freezer that counts after the thaw.
Status wait_for_end(const Opened& opened) {
  TRY(thaw(opened));
  const auto init = TRY(open_alive(opened.record.init));
  if (!init.has_value()) return ok();
  if (TRY(wait_until_over(*init, kEndMs))) return ok();
  return Error{Kind::timed_out, format_text("process {} did not end within {} ms after the checkpoint", opened.record.init.pid, kEndMs)};
}

}  // namespace

Status checkpoint_container(const StateStore& store, const CheckpointOptions& options) {
  const auto opened = TRY(open_locked(store, options.id));
  TRY(check_phase(opened));
  TRY(require_root_for_criu());
  TRY(check_parent(options));
  const auto spec = TRY(saved_spec(opened.directory));
  const auto directories = TRY(open_directories(options.common));
  CriuCall call{.request = TRY(make_request(options, opened, spec, directories))};
  Outside outside;
  if (!options.pre_dump) {
    auto seen = TRY(look(opened, spec));
    outside = std::move(seen.outside);
    call.request.mounts = std::move(seen.mounts);
    std::ranges::move(seen.externals, std::back_inserter(call.request.externals));
    TRY(keep(directories, outside));
    call.request.needs_label = asks_for_label(spec);
    // All is written, and nobody killed yet.
    call.notify = [&](const criu::Event& event, const UniqueFd&) {
      if (event.script != "post-dump") return ok();
      outside.label = event.text;
      return keep(directories, outside);
    };
  }
  const bool goes_on = options.pre_dump || options.common.criu.leave_running;
  const auto done = call_criu_on(opened, call, goes_on);
  if (!done.has_value()) {
    if (!options.pre_dump) (void)sys::unlinkat(directories.images.get(), kOutsideFile);  // no image, then
    return done.error();
  }
  // Without the sizes it is an image too.
  if (!options.pre_dump && find_pages(directories.images, outside).has_value()) (void)keep(directories, outside);
  return goes_on ? ok() : wait_for_end(opened);
}

}  // namespace husk::runtime
