// What the tests of checkpoint and restore share: containers that go on with something, so that it shows from outside
// whether they still have it. They need the real CRIU, of which Debian 12 has no package: tests/callers/checkpoint runs
// them in a root of Debian sid, and tests/vm in a machine whose kernel tracks memory and has AppArmor and SELinux.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "bench.h"
#include "oci-spec/json.h"

namespace husk::test {

inline bool has_criu() { return path_exists("/usr/sbin/criu"); }

#define REQUIRE_CRIU()                                                       \
  do {                                                                       \
    REQUIRE_E2E();                                                           \
    if (!has_criu()) HUSK_SKIP("needs criu, which Debian 12 has no package of"); \
  } while (false)

inline void check_ok(const Output& done) { CHECK_MESSAGE(done.status.code == 0, done.err); }
#define REQUIRE_DONE(expression)                               \
  do {                                                         \
    const auto done_ = (expression);                           \
    REQUIRE_MESSAGE(done_.status.code == 0, done_.err);        \
  } while (false)
// Failed with this in its one line of error.
#define CHECK_REFUSED(expression, text)                                  \
  do {                                                                   \
    const auto done_ = (expression);                                     \
    CHECK(done_.status.code == 1);                                       \
    CHECK_MESSAGE(contains(done_.err, text), done_.err);                 \
    CHECK_MESSAGE(std::ranges::count(done_.err, '\n') == 1, done_.err);  \
  } while (false)

// The same in a shell, for what comes before it.
inline constexpr const char* kCounter =
    "i=0; while :; do i=$((i+1)); echo $i >/tmp/next; mv /tmp/next /tmp/count; sleep 0.05; done";

inline oci::Mount bind_with(const std::string& source, const std::string& destination, std::vector<std::string> options) {
  options.insert(options.begin(), "bind");
  return {.destination = destination, .type = "bind", .source = source, .options = std::move(options)};
}

inline void with_tmp(oci::Spec& spec) {
  spec.mounts.push_back({.destination = "/tmp", .type = "tmpfs", .source = "tmpfs", .options = {"nosuid", "mode=1777"}});
}

// The number in a file of the container; 0 while there is none.
inline int number_in(Bench& bench, const std::string& id, const std::string& file) {
  const auto text = read_file(format_text("/proc/{}/root{}", bench.pid(id), file));
  const auto number = text.has_value() ? parse_uint32(trim(text.value())) : Result<std::uint32_t>{0U};
  return number.has_value() ? static_cast<int>(number.value()) : 0;
}
inline int count_in(Bench& bench, const std::string& id) { return number_in(bench, id, "/tmp/count"); }
inline bool counts_beyond(Bench& bench, const std::string& id, int floor) {
  return eventually([&] { return count_in(bench, id) > floor; });
}

// A container, where its image goes, and the two verbs on it.
struct Frozen {
  Frozen(Bench& bench_, const std::vector<std::string>& args, const Change& change = {})
      : bench{bench_}, id{bench.id()}, image{bench.path("image")} {
    bundle = bench.bundle(args, [&](oci::Spec& spec) {
      with_tmp(spec);
      if (change) change(spec);
    });
    // On /dev/null: CRIU saves a memfd, which Bench::husk gives, with its content and its owner.
    auto child = bench.start({"run", "-d", "-b", bundle, id}, {});
    REQUIRE(child.wait().value().code == 0);
  }
  Output save(std::vector<std::string> options = {}) { return run("checkpoint", std::move(options), {}); }
  Output restore(std::vector<std::string> options = {}) { return run("restore", std::move(options), {"-d", "-b", bundle}); }

  Bench& bench;
  std::string id;
  std::string image;
  std::string bundle;

 private:
  Output run(const std::string& verb, std::vector<std::string> options, const std::vector<std::string>& more) {
    options.insert(options.begin(), verb);
    options.insert(options.end(), more.begin(), more.end());
    options.insert(options.end(), {"--image-path", image, id});
    return bench.husk(options);
  }
};

// tests/e2e/subject in the container, in one of its modes.
struct Subject : Frozen {
  Subject(Bench& bench_, const std::vector<std::string>& mode, const Change& change = {}) : Frozen{bench_, command(mode), change} {}

 private:
  static std::vector<std::string> command(std::vector<std::string> mode) {
    const auto inside = busybox_rootfs() + "/bin/subject";
    if (!path_exists(inside)) REQUIRE_OK(write_atomically(AT_FDCWD, inside, read_file(program("subject")).value(), 0755));
    mode.insert(mode.begin(), "/bin/subject");
    return mode;
  }
};

// One process that goes on by itself: a shell is in vfork(2) now and then, and then CRIU cannot stop it.
struct Counter : Subject {
  explicit Counter(Bench& bench_, const Change& change = {}) : Subject{bench_, {"memory", "1"}, change} {
    REQUIRE(counts_beyond(bench, id, 2));
  }
};

}  // namespace husk::test
