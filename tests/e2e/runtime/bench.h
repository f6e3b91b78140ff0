// What the end-to-end tests of husk stand on: a root file system from busybox-static, bundles with a
// changed default config, and runs of the binary in a mount namespace of their own, where
// /sys/fs/cgroup is what the machine has (v1 here) or a cgroup2 mount.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/process.h"
#include "harness/harness.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::test {

enum class Hierarchy { native, unified };
inline constexpr std::array kBoth{Hierarchy::native, Hierarchy::unified};

std::string husk_binary();           // $HUSK_BIN or <build>/bin/husk
bool has_busybox();
const std::string& busybox_rootfs(); // made once; read-only by habit

using Change = std::function<void(oci::Spec&)>;

// A state root, bundles, and cleaning up of both.
class Bench {
 public:
  explicit Bench(Hierarchy hierarchy = Hierarchy::native);
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench();

  // A bundle whose config is small and quick: `args` in busybox, no terminal.
  std::string bundle(const std::vector<std::string>& args, const Change& change = {});
  std::string shell_bundle(const std::string& script, const Change& change = {}) {
    return bundle({"/bin/sh", "-c", script}, change);
  }
  Output husk(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {});
  // Runs a shell script beside husk ($HUSK is the command line with its globals).
  Output shell(const std::string& script);
  Child start(const std::vector<std::string>& arguments, const std::vector<SpawnOptions::Inherit>& descriptors,
              const std::vector<std::string>& environment = {});

  std::string id(const std::string& name = "c") const { return prefix_ + name; }
  std::string root() const { return dir_ / "state"; }
  std::string path(const std::string& name) const { return dir_ / name; }
  std::string log() const { return dir_ / "log"; }
  oci::Json state(const std::string& id);
  std::string status(const std::string& id);
  int pid(const std::string& id);

  // Mounts, cgroups of ours, files below the state root, processes of ours: what a failed command
  // must leave as it was.
  std::string world();

 private:
  std::vector<std::string> in_hierarchy(const std::vector<std::string>& words) const;
  std::vector<std::string> command(const std::vector<std::string>& arguments) const;
  TempDir dir_;
  Hierarchy hierarchy_;
  std::string prefix_;
  int bundles_ = 0;
};

// A dynamic program for this machine that is nothing but the name of its loader (PT_INTERP).
std::string elf_with_loader(const std::string& loader);

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace husk::test

#define REQUIRE_E2E()                                                        \
  do {                                                                       \
    if (!::husk::test::is_root()) HUSK_SKIP("needs root");                   \
    if (!::husk::test::has_busybox()) HUSK_SKIP("needs busybox-static");     \
  } while (false)

// Nothing is left behind.
#define CHECK_WORLD(bench, before)         \
  do {                                     \
    const std::string after = (bench).world(); \
    CHECK(after == before);                \
  } while (false)
