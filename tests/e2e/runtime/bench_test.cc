#include "bench.h"

#include <elf.h>
#include <sys/mman.h>

#include <cstdlib>

#include "oci-spec/parse_config.h"

namespace husk::test {
namespace {

constexpr const char* kBusybox = "/bin/busybox";
#ifdef __SANITIZE_ADDRESS__
constexpr int kTimeoutMs = 120'000;  // each start of a program takes ten times as long
#else
constexpr int kTimeoutMs = 20'000;
#endif

std::string make_rootfs(const std::string& path) {
  for (const auto* directory : {"/bin", "/proc", "/sys", "/dev", "/tmp", "/etc", "/root", "/home"})
    REQUIRE_OK(make_directories(path + directory));
  REQUIRE_OK(write_atomically(AT_FDCWD, path + "/bin/busybox", read_file(kBusybox).value(), 0755));
  for (const auto* name : {"sh", "true", "false", "cat", "echo", "id", "sleep", "ls", "stat", "grep", "mount", "hostname",
                           "touch", "mkdir", "kill", "env", "pwd", "ps", "readlink", "tty", "stty", "chmod", "dd", "head",
                           "tail", "wc", "sort", "sed", "mknod", "umount", "rm", "cut", "tr", "test", "dmesg", "date",
                           "nproc", "ulimit", "printf", "ip", "chroot", "unshare", "ln", "cp", "yes", "trap"})
    REQUIRE_OK(sys::symlinkat("busybox", AT_FDCWD, path + "/bin/" + name));
  REQUIRE_OK(write_atomically(AT_FDCWD, path + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n"));
  REQUIRE_OK(write_atomically(AT_FDCWD, path + "/etc/group", "root:x:0:\nuser:x:1000:\n"));
  return path;
}

oci::Spec small_spec() {
  using oci::NamespaceType;
  const std::vector<std::string> caps{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  oci::Spec spec{.oci_version = oci::kSpecVersion, .root = oci::Root{.path = busybox_rootfs(), .readonly = true}};
  spec.mounts = {{.destination = "/proc", .type = "proc", .source = "proc"},
                 {.destination = "/dev", .type = "tmpfs", .source = "tmpfs", .options = {"nosuid", "mode=755"}},
                 {.destination = "/dev/pts", .type = "devpts", .source = "devpts",
                  .options = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
                 {.destination = "/sys", .type = "sysfs", .source = "sysfs", .options = {"nosuid", "noexec", "nodev", "ro"}},
                 {.destination = "/tmp", .type = "tmpfs", .source = "tmpfs", .options = {"nosuid", "nodev"}}};
  spec.process = oci::Process{.env = {"PATH=/bin", "TERM=xterm"},
                              .cwd = "/",
                              .capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps}};
  for (const auto type : {NamespaceType::pid, NamespaceType::network, NamespaceType::ipc, NamespaceType::uts,
                          NamespaceType::mount, NamespaceType::cgroup})
    spec.linux.namespaces.push_back({.type = type});
  return spec;
}

// Bundles live as long as the program; the first test makes the root file system.
struct SharedRootfs {
  TempDir dir;
  std::string path{make_rootfs(dir / "rootfs")};
};

}  // namespace

std::string husk_binary() {
  const char* chosen = std::getenv("HUSK_BIN");
  if (chosen != nullptr) return chosen;
  const auto self = sys::readlinkat(AT_FDCWD, "/proc/self/exe");
  REQUIRE_OK(self);
  const auto tests = self.value().substr(0, self.value().rfind('/'));
  return tests.substr(0, tests.rfind('/')) + "/bin/husk";
}

bool has_busybox() { return path_exists(kBusybox); }

const std::string& busybox_rootfs() {
  static SharedRootfs shared;
  return shared.path;
}

std::string elf_with_loader(const std::string& loader) {
  Elf64_Ehdr elf{};
  const auto self = sys::openat(AT_FDCWD, "/proc/self/exe", O_RDONLY);  // whole, a sanitizer's is more than read_file takes
  REQUIRE_OK(self);
  REQUIRE(sys::read_some(self.value().get(), std::span{reinterpret_cast<char*>(&elf), sizeof elf}).value() == sizeof elf);
  elf.e_type = ET_DYN;
  elf.e_phoff = sizeof elf;
  elf.e_phnum = 1;
  elf.e_shoff = elf.e_shnum = elf.e_shstrndx = 0;
  Elf64_Phdr segment{};
  segment.p_type = PT_INTERP;
  segment.p_flags = PF_R;
  segment.p_offset = sizeof elf + sizeof segment;
  segment.p_filesz = segment.p_memsz = loader.size() + 1;
  std::string file{reinterpret_cast<const char*>(&elf), sizeof elf};
  file.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return file + loader + '\0';
}

Bench::Bench(Hierarchy hierarchy) : hierarchy_{hierarchy}, prefix_{"husk-e2e-" + random_hex(4) + "-"} {}

Bench::~Bench() {
  const auto ids = sys::openat(AT_FDCWD, root(), O_RDONLY | O_DIRECTORY);
  if (!ids.has_value()) return;
  const auto entries = sys::list_dir(ids.value().get());
  if (!entries.has_value()) return;
  for (const auto& entry : entries.value()) (void)husk({"delete", "--force", entry.name});
}

std::vector<std::string> Bench::in_hierarchy(const std::vector<std::string>& words) const {
  std::vector<std::string> all{"/usr/bin/unshare", "--mount", "--propagation", "private", "--"};
  if (hierarchy_ == Hierarchy::unified)
    for (const auto* word : {"/bin/sh", "-c", "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"", "sh"})
      all.emplace_back(word);
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

std::vector<std::string> Bench::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{husk_binary(), "--root", root()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return in_hierarchy(words);
}

std::string Bench::bundle(const std::vector<std::string>& args, const Change& change) {
  auto spec = small_spec();
  spec.process->args = args;
  spec.linux.cgroups_path = "/husk-e2e/" + prefix_ + std::to_string(bundles_);
  if (change) change(spec);
  const auto path = dir_ / ("bundle" + std::to_string(bundles_++));
  REQUIRE_OK(make_directories(path));
  REQUIRE_OK(write_atomically(AT_FDCWD, path + "/config.json", oci::write_config(spec)));
  return path;
}

namespace {

std::string content_of(const UniqueFd& file) {
  REQUIRE_OK(sys::lseek(file.get(), 0, SEEK_SET));
  return read_all(file.get()).value();
}

// Files and no pipes: a container that lives on keeps its output open.
Output collect(const std::vector<std::string>& words, const std::vector<std::string>& environment) {
  const auto out = sys::memfd_create("out", MFD_CLOEXEC);
  const auto err = sys::memfd_create("err", MFD_CLOEXEC);
  REQUIRE_OK(out);
  REQUIRE_OK(err);
  auto all = current_environment();
  all.insert(all.end(), environment.begin(), environment.end());
  auto child = spawn({.path = words.front(),
                      .arguments = words,
                      .environment = all,
                      .descriptors = {{.from = out.value().get(), .target = 1}, {.from = err.value().get(), .target = 2}}});
  REQUIRE_OK(child);
  const auto ended = child.value().wait_for(kTimeoutMs);
  REQUIRE_OK(ended);
  REQUIRE_MESSAGE(ended.value().has_value(), ("time-out: " + join(words, " ")));
  return {.status = *ended.value(), .out = content_of(out.value()), .err = content_of(err.value())};
}

}  // namespace

Output Bench::husk(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  return collect(command(arguments), environment);
}

Output Bench::shell(const std::string& script) {
  std::string line;
  for (const auto& word : command({})) line += "'" + word + "' ";
  const auto prelude = "husk() { eval \"$HUSK_LINE\" '\"$@\"'; }\n";
  return collect({"/bin/sh", "-c", prelude + script}, {"HUSK_LINE=" + line});
}

Child Bench::start(const std::vector<std::string>& arguments, const std::vector<SpawnOptions::Inherit>& descriptors,
                   const std::vector<std::string>& environment) {
  auto all = current_environment();
  all.insert(all.end(), environment.begin(), environment.end());
  const auto words = command(arguments);
  auto child = spawn({.path = words.front(), .arguments = words, .environment = all, .descriptors = descriptors});
  REQUIRE_OK(child);
  return std::move(child).value();
}

oci::Json Bench::state(const std::string& id) {
  const auto done = husk({"state", id});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  return std::move(json).value();
}

std::string Bench::status(const std::string& id) { return *state(id).find("status")->as_string(); }

int Bench::pid(const std::string& id) {
  const auto json = state(id);
  const auto* found = json.find("pid");
  return found == nullptr ? 0 : static_cast<int>(found->as_int64().value_or(0));
}

namespace {

// Processes whose command line or cgroup names this bench.
std::string processes_of(const std::string& prefix) {
  std::string found;
  const auto proc = sys::openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(proc);
  const auto entries = sys::list_dir(proc.value().get());
  REQUIRE_OK(entries);
  for (const auto& entry : entries.value()) {
    if (!parse_uint32(entry.name).has_value()) continue;
    // An orphan of a killed husk that waits for the machine's init to reap it is over.
    const auto status = read_file("/proc/" + entry.name + "/status");
    if (!status.has_value() || contains(status.value(), "State:\tZ")) continue;
    const auto command = read_file("/proc/" + entry.name + "/cmdline");
    const auto cgroup = read_file("/proc/" + entry.name + "/cgroup");
    if ((command.has_value() && contains(command.value(), prefix)) || (cgroup.has_value() && contains(cgroup.value(), prefix)))
      found += entry.name + " " + command.value() + "\n";
  }
  return found;
}

}  // namespace

std::string Bench::world() {
  const auto files = collect(in_hierarchy({"/bin/sh", "-c",
                                           "find " + root() + " -mindepth 1 2>/dev/null; find /sys/fs/cgroup -type d -name '" + prefix_ + "*'"}), {});
  return read_file("/proc/self/mounts").value() + files.out + processes_of(prefix_);
}

}  // namespace husk::test
