// What the attack tests share: something on the host to aim at, neighbours that exchange names all the time, and
// many rounds of husk with a look at the host before and after.
#pragma once

#include <string>
#include <vector>

#include "bench.h"

namespace husk::test {

// A directory of the host beside the bundles. Whatever an attack makes, changes or gives away shows in `look`.
class Prey {
 public:
  explicit Prey(Bench& bench) : bench_{bench}, path_{bench.path("prey")} {
    REQUIRE_OK(make_directories(path_ + "/dir"));
    REQUIRE_OK(write_atomically(AT_FDCWD, path_ + "/file", kSecret, 0600));
    REQUIRE_OK(write_atomically(AT_FDCWD, path_ + "/null", kSecret, 0600));
  }
  static constexpr std::string_view kSecret = "secret of the host\n";
  const std::string& path() const { return path_; }
  // Names, types, modes, owners, times of change, contents.
  std::string look() const {
    const auto seen = bench_.shell("cd " + path_ + " && find . -printf '%p %y %m %U:%G %s %C@ %l\\n' | sort && cat file null");
    REQUIRE(seen.status.code == 0);
    return seen.out;
  }

 private:
  Bench& bench_;
  std::string path_;
};

// Beside husk, in the same build.
inline std::string attacker_binary() { return program("attacker"); }

// Exchanges two names for ever, as one who shares a volume or an image can. Ends with the object.
inline Child exchange(const std::string& left, const std::string& right) {
  auto child = spawn({.path = attacker_binary(), .arguments = {"attacker", "swap", left, right}});
  REQUIRE_OK(child);
  return std::move(child).value();
}
// A rootfs of its own, for tests that spoil it; with the attacker in /bin.
inline std::string own_rootfs(Bench& bench, const std::string& name = "rootfs") {
  const auto path = bench.path(name);
  REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + path + " && cp " + attacker_binary() + " " + path + "/bin/attacker").status.code == 0);
  return path;
}

inline Change with_rootfs(const std::string& path) {
  return [path](oci::Spec& spec) { spec.root = oci::Root{.path = path, .readonly = false}; };
}

inline oci::Mount bind_of(const std::string& source, const std::string& destination) {
  return {.destination = destination, .type = "bind", .source = source, .options = {"bind"}};
}

struct Rounds {
  std::string out;  // of all rounds
  std::string err;
  int count = 0;
  bool mounts_stayed = false;  // the host's mount table is what it was
};
// Runs `commands` (shell; $H is husk with its root) again and again in one mount namespace, which plays the host:
// `count` times, or for some seconds on a slow machine, five times at least.
inline Rounds attack(Bench& bench, int count, const std::string& commands) {
  const auto script = bench.path("rounds.sh");
  const auto text = "H='" + husk_binary() + " --root " + bench.root() + "'\n" +
                    "cat /proc/self/mountinfo > " + bench.path("mounts.before") + "\n" +
                    "i=0; end=$(($(date +%s) + 6))\n" +
                    "while [ $i -lt " + std::to_string(count) + " ]; do\n  i=$((i + 1))\n" + commands +
                    "\n  [ $i -lt 5 ] || [ $(date +%s) -lt $end ] || break\ndone\n" +
                    "cat /proc/self/mountinfo > " + bench.path("mounts.after") + "\necho $i > " + bench.path("rounds") + "\n";
  REQUIRE_OK(write_atomically(AT_FDCWD, script, text, 0755));
  const auto done = bench.shell("unshare --mount --propagation private timeout 18 sh " + script);
  Rounds rounds{.out = done.out, .err = done.err};
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  rounds.count = static_cast<int>(parse_uint32(trim(read_file(bench.path("rounds")).value())).value());
  rounds.mounts_stayed = read_file(bench.path("mounts.before")).value() == read_file(bench.path("mounts.after")).value();
  return rounds;
}

}  // namespace husk::test

// The host is what it was, and nothing of it came out of a container.
#define CHECK_HOST(prey, before, rounds)                                               \
  do {                                                                                 \
    CHECK((prey).look() == (before));                                                  \
    CHECK((rounds).mounts_stayed);                                                     \
    CHECK_MESSAGE(!contains((rounds).out, Prey::kSecret), (rounds).out);               \
  } while (false)
