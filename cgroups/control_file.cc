#include "cgroups/control_file.h"

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cgroups {
namespace {

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string controller_of(const std::string& path) {
  const auto name = file_name(path);
  return name.substr(0, name.find('.'));
}

// Newer kernels take any limit of kernel memory and do nothing with it. Source: mm/memcontrol-v1.c, "has no effect".
Status check_kernel_memory(const Target& target) {
  if (!target.path.ends_with("/memory.kmem.limit_in_bytes")) return ok();
  const auto wanted = parse_uint64(target.value);
  if (!wanted.has_value() || read_number(target.path) <= wanted.value()) return ok();
  return Error{Kind::unsupported, "memory.kmem.limit_in_bytes: this kernel takes a limit of kernel memory and does nothing with it"}.hint(
      "leave \"/linux/resources/memory/kernel\" out: the memory limit counts kernel memory too");
}

// An empty write() never reaches the file's handler; a newline means "empty" to the kernel.
Status write_once(const Target& target) {
  TRY(write_existing(AT_FDCWD, target.path, target.value.empty() ? "\n" : target.value));
  return check_kernel_memory(target);
}

bool is_absent(const Status& status) { return !status.has_value() && status.error().os_errno() == ENOENT; }

struct Written {
  std::string path;
  std::string before;
  std::string value;
};

// Files with a line for each device, interface or resource take one line a write. Without the device's line there was
// no limit. Source: cgroup-v2.rst (nested keyed files); blkio-controller.rst (0 removes a limit); net_prio.rst.
bool has_lines_by_key(std::string_view name) {
  constexpr std::string_view kKeyed[] = {"io.max", "io.weight", "io.bfq.weight", "io.latency", "rdma.max", "misc.max",
                                         "dmem.max", "dmem.min", "dmem.low", "net_prio.ifpriomap"};
  return name.ends_with("_device") || std::find(std::begin(kKeyed), std::end(kKeyed), name) != std::end(kKeyed);
}

std::string no_limit(std::string_view name, const std::string& key) {
  if (name == "io.max") return key + " rbps=max wbps=max riops=max wiops=max";
  if (name == "io.weight" || name.find("bfq.weight") != std::string_view::npos) return key + " default";
  if (name == "io.latency") return key + " target=0";
  if (name == "rdma.max") return key + " hca_handle=max hca_object=max";
  return key + " 0";
}

// Pairs that bound each other may go back in one order only, as in write_pass.
void restore(const std::vector<Written>& written) {
  std::vector<Target> refused;
  for (auto file = written.rbegin(); file != written.rend(); ++file) {
    Target target{.path = file->path, .value = earlier_value(file->path, file->before, file->value)};
    if (!write_once(target).has_value()) refused.push_back(std::move(target));
  }
  for (const auto& target : refused) (void)write_once(target);
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The nearest cgroup above with a quota of its own: nobody below may have a larger part of its period.
// Source: tg_cfs_schedulable_down() in kernel/sched/core.c.
std::string quota_above(const std::string& path) {
  for (auto parent = directory_of(directory_of(path)); path_exists(parent + "/cpu.cfs_quota_us"); parent = directory_of(parent)) {
    const auto quota = read_number(parent + "/cpu.cfs_quota_us");
    if (quota != 0)
      return format_text("{} above has {} of {} microseconds: choose no larger share of the period", parent, quota,
                         read_number(parent + "/cpu.cfs_period_us"));
  }
  return "";
}

// What the parent has of processors or memory nodes. Source: cgroup-v1/cpusets.rst; cgroup-v2.rst, "Cpuset".
std::string numbers_above(const Target& target) {
  const auto parent = directory_of(directory_of(target.path));
  const auto file = file_name(target.path);
  for (const auto& name : {file + ".effective", file == "cpuset.cpus" ? std::string{"cpuset.effective_cpus"} : std::string{"cpuset.effective_mems"}, file}) {
    const auto have = read_text(format_text("{}/{}", parent, name));
    if (!trim(have).empty()) return format_text("requested {}, available here {}", target.value, trim(have));
  }
  return "";
}

// A reason that the file's own value or place tells; "" when none does.
std::string special_hint(int refused, const Target& target) {
  const auto name = file_name(target.path);
  const bool is_value = refused == EINVAL || refused == ERANGE || refused == EACCES;
  if (is_value && name.starts_with("cpu.cfs_")) return quota_above(target.path);
  if (is_value && (name == "cpuset.cpus" || name == "cpuset.mems")) {
    auto numbers = numbers_above(target);
    if (!numbers.empty() && refused == EACCES) numbers += "; the parent's cpuset must have all, and cgroups below may use no others";
    return numbers;
  }
  if (refused == EOPNOTSUPP && (name.ends_with("weight_device") || name == "io.bfq.weight"))
    return "BFQ is not the I/O scheduler of this device: write bfq to /sys/block/NAME/queue/scheduler, or leave the weight out";
  if (refused == EBUSY && name == "memory.limit_in_bytes")
    return format_text("{} bytes are in use and could not be given back, the new limit is {}", read_number(directory_of(target.path) + "/memory.usage_in_bytes"), target.value);
  return "";
}

Error refusal(Error error, const Target& target) {
  if (auto hint = special_hint(error.os_errno(), target); !hint.empty()) error = std::move(error).hint(std::move(hint));
  auto explained = explain(std::move(error), target.path);
  return target.field.empty() ? explained : std::move(explained).during(pointer_of(target.field));
}

// One pass over the targets. `before` collects earlier values when it is given.
Status write_pass(const std::vector<Target>& targets, std::vector<Written>* before) {
  std::vector<const Target*> refused;
  bool previous_absent = false;
  for (const auto& target : targets) {
    if (target.need == Need::otherwise && !previous_absent) continue;
    const auto earlier = before != nullptr ? read_text(target.path) : std::string{};
    const auto done = write_once(target);
    previous_absent = is_absent(done);
    if (previous_absent && target.need == Need::if_present) continue;
    if (!done.has_value()) {
      if (done.error().os_errno() != EINVAL) return refusal(done.error(), target);
      refused.push_back(&target);
    }
    if (before != nullptr) before->push_back({target.path, earlier, target.value});
  }
  for (const auto* target : refused) {
    const auto done = write_once(*target);
    if (!done.has_value()) return refusal(done.error(), *target);
  }
  return ok();
}

}  // namespace

std::string earlier_value(const std::string& path, std::string_view before, const std::string& written) {
  const auto name = file_name(path);
  // It shows more than it takes. Source: cgroup-v1/memory.rst, section 10.
  if (name == "memory.oom_control") return std::to_string(keyed_number(before, "oom_kill_disable"));
  if (!has_lines_by_key(name)) return std::string{trim(before)};
  const auto space = written.find(' ');
  const auto key = space == std::string::npos ? std::string{"default"} : written.substr(0, space);
  for (const auto line : split(before, '\n'))
    if (line.starts_with(key + " ")) return std::string{line};
  if (space == std::string::npos) return std::string{trim(before)};  // bfq's weight is one number
  return no_limit(name, key);
}

Error explain(Error error, const std::string& path) {
  const auto controller = controller_of(path);
  const bool may_be_gone = error.os_errno() == ENOENT || error.os_errno() == ENODEV;
  if (may_be_gone && !path_exists(path.substr(0, path.rfind('/'))))
    return std::move(error).as(Kind::not_found).hint("the cgroup is gone: somebody removed it");
  switch (error.os_errno()) {
    case ENOENT:
      return std::move(error).as(Kind::unsupported).hint(
          format_text("the cgroup controller {} is not enabled here (cgroup.controllers, and cgroup.subtree_control of "
                      "the parent), or this kernel has no such file", quote(controller)));
    case EINVAL:
    case ERANGE:
    case ENODEV:
      return std::move(error).as(Kind::invalid).hint(
          format_text("the kernel does not take this value for {}{}", file_name(path),
                      path.ends_with("cpu.rt_runtime_us") ? ": the cgroups above must have as much, and share it" : ""));
    case EROFS:
      return std::move(error).hint("the cgroup file system is mounted read-only here; mount it read-write, or use "
                                   "--cgroup-manager disabled");
    case EPERM:
    case EACCES:
      if (controller == "cpuset")  // Source: validate_change() in the kernel's cpuset.c
        return std::move(error).as(Kind::invalid).hint("the parent's cpuset has not all of these processors or memory nodes, "
                                                       "or a cgroup below uses others");
      if (controller == "devices") return std::move(error).hint("a device rule needs CAP_SYS_ADMIN on the host: run as root with all capabilities, or leave the rules out");
      return std::move(error).hint("no permission in this part of the cgroup hierarchy; it needs CAP_SYS_ADMIN: run "
                                   "as root with all capabilities, or use a path below a cgroup delegated to this user");
    case EBUSY:
      if (path.ends_with("cgroup.subtree_control"))
        return std::move(error).hint("this cgroup has processes of its own, so its controllers cannot be passed on; "
                                     "move them into a sub-cgroup, or choose another parent");
      return std::move(error).hint("the cgroup's usage is above the new limit, or it is in use");
    case EOPNOTSUPP:
      return std::move(error).hint("the cgroup is in a threaded or invalid domain (cgroup.type), or this kernel has "
                                   "dropped the file's function");
    default: return error;
  }
}

std::string pointer_of(std::string_view field) { return format_text("\"/linux/resources/{}\"", field); }

Status write_targets(const std::vector<Target>& targets) { return write_pass(targets, nullptr); }

Status replace_targets(const std::vector<Target>& targets, const std::function<Status()>& last) {
  std::vector<Written> written;
  auto done = write_pass(targets, &written);
  if (done.has_value()) done = last();
  if (!done.has_value()) restore(written);
  return done;
}

std::string read_text(const std::string& path) {
  auto text = read_file(path);
  return text.has_value() ? std::move(text).value() : std::string{};
}

std::uint64_t read_number(const std::string& path) {
  const auto number = parse_uint64(trim(read_text(path)));
  return number.has_value() ? number.value() : 0;
}

std::uint64_t keyed_number(std::string_view text, std::string_view key) {
  for (const auto line : split(text, '\n')) {
    if (line.size() <= key.size() || !line.starts_with(key) || line[key.size()] != ' ') continue;
    const auto number = parse_uint64(trim(line.substr(key.size() + 1)));
    return number.has_value() ? number.value() : 0;
  }
  return 0;
}

bool has_word(std::string_view text, std::string_view word) {
  const auto words = words_of(text);
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace husk::cgroups
