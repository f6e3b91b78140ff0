// A container in a scope of systemd, in a slice of the test's own.
#pragma once

#include "bench.h"

namespace husk::test {

inline bool has_systemd() { return path_exists("/run/systemd/private") && path_exists("/sys/fs/cgroup/cgroup.controllers"); }

#define REQUIRE_SYSTEMD()                                                                     \
  do {                                                                                        \
    REQUIRE_E2E();                                                                            \
    if (!has_systemd()) HUSK_SKIP("needs systemd as PID 1 and cgroup v2 (tests/run vm)");     \
  } while (false)

struct SystemdBench : Bench {
  std::string slice = "husktest" + random_hex(4) + ".slice";
  ~SystemdBench() { (void)shell("systemctl kill --signal=KILL " + slice + "; systemctl stop " + slice); }

  std::string scope_bundle(const std::vector<std::string>& args, const Change& change = {}) {
    return bundle(args, [&](oci::Spec& spec) {
      spec.linux.cgroups_path = slice + ":husk:" + id();
      if (change) change(spec);
    });
  }
  Output systemd(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) {
    arguments.insert(arguments.begin(), "--systemd-cgroup");
    return husk(arguments, environment);
  }
  std::string unit() const { return "husk-" + id() + ".scope"; }
  std::string directory() const { return "/sys/fs/cgroup/" + slice + "/" + unit(); }
  std::string property(const std::string& name) { return std::string{trim(shell("systemctl show -P " + name + " " + unit()).out)}; }
  std::string file(const std::string& name) { return std::string{trim(read_file(directory() + "/" + name).value())}; }
  bool is_unit_there() { return property("LoadState") == "loaded"; }
  void run(const std::string& where) {
    const auto done = systemd({"run", "-d", "-b", where, id()});
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
  }
};

// /tmp takes device nodes, and what they need is there.
inline void may_make_devices(oci::Spec& spec) {
  for (auto& mount : spec.mounts)
    if (mount.destination == "/tmp") mount.options = {"nosuid"};
  for (auto* set : {&spec.process->capabilities->bounding, &spec.process->capabilities->effective, &spec.process->capabilities->permitted})
    for (const auto* name : {"CAP_MKNOD", "CAP_SYS_RAWIO", "CAP_SYSLOG"}) set->push_back(name);
}

}  // namespace husk::test
