// checkpoint and restore of containers under AppArmor profiles and SELinux labels. Needs CRIU and a kernel with the module:
// the full machine of tests/vm (suite boots it with each).
#include "frozen.h"
#include "labels.h"

namespace husk::test {
namespace {

std::string label_in(Bench& bench, const std::string& id) {
  const auto text = read_file(format_text("/proc/{}/attr/current", bench.pid(id)), 4096);
  return text.has_value() ? std::string{trim(text.value().c_str())} : text.error().to_string();
}

// Refused with this, and nothing is left: no container, no process, no cgroup, no mount.
void check_refused(Bench& bench, Frozen& frozen, const std::vector<std::string>& options, const std::string& text) {
  CAPTURE(text);
  const auto before = bench.world();
  CHECK_REFUSED(frozen.restore(options), text);
  CHECK_WORLD(bench, before);
}

void replace_in(const std::string& path, const std::string& old, const std::string& fresh) {
  auto text = read_file(path).value();
  const auto at = text.find(old);
  REQUIRE_MESSAGE(at != std::string::npos, text);
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text.replace(at, old.size(), fresh)));
}

TEST_CASE("checkpoint and restore with AppArmor: the profile is back, or the one of --lsm-profile; what cannot be is one error") {
  REQUIRE_APPARMOR();
  REQUIRE_CRIU();
  Bench bench;
  load_profiles(bench);
  Counter counter{bench, profile("husk-e2e", [](oci::Spec& spec) { spec.process->no_new_privileges = true; })};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  check_refused(bench, counter, {"--lsm-profile", "apparmor:husk-e2e-none"},
                "\"--lsm-profile\": set \"husk-e2e-none\" through `/proc/thread-self/attr/apparmor/current`: ENOENT, no profile of this name is loaded");
  check_refused(bench, counter, {"--lsm-profile", "selinux:a:b:c"}, "SELinux is not enabled on this host");
  check_refused(bench, counter, {"--lsm-profile", "apparmor:"}, "\"--lsm-profile\": \"apparmor:\" must be apparmor:NAME or selinux:LABEL");
  REQUIRE_DONE(counter.restore());
  CHECK(label_in(bench, counter.id) == "husk-e2e (enforce)");
  const int first = count_in(bench, counter.id);
  CHECK(counts_beyond(bench, counter.id, first + 2));
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  REQUIRE_DONE(counter.restore({"--lsm-profile", "apparmor:husk-e2e-other"}));
  CHECK(label_in(bench, counter.id) == "husk-e2e-other (enforce)");
  CHECK(counts_beyond(bench, counter.id, first + 2));
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  REQUIRE_DONE(counter.restore({"--lsm-profile", "apparmor:unconfined"}));
  CHECK(label_in(bench, counter.id) == "unconfined");
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  // CRIU gives what its own image says: husk sees that it is another one than was asked for, and before a process runs.
  replace_in(counter.image + "/husk-checkpoint.json", "\"apparmor:husk-e2e\"", "\"apparmor:husk-e2e-other\"");
  check_refused(bench, counter, {}, "runs under \"apparmor:husk-e2e\" and not under \"apparmor:husk-e2e-other\"");
  replace_in(counter.image + "/husk-checkpoint.json", "\"apparmor:husk-e2e-other\"", "\"apparmor:husk-e2e\"");
  REQUIRE_DONE(bench.shell("sed -i s/husk-e2e-other/husk-e2e-third/ " + bench.path("profiles") + "; apparmor_parser -R " + bench.path("profiles") +
                           " 2>/dev/null; ! grep '^husk-e2e ' /sys/kernel/security/apparmor/profiles"));
  check_refused(bench, counter, {}, "\"/process/apparmorProfile\": set \"husk-e2e\" through `/proc/thread-self/attr/apparmor/current`: ENOENT");
}

TEST_CASE("checkpoint and restore with AppArmor: an image without a profile is restored without, and never in place of one") {
  REQUIRE_APPARMOR();
  REQUIRE_CRIU();
  Bench bench;
  load_profiles(bench);
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  check_refused(bench, counter, {"--lsm-profile", "apparmor:husk-e2e"}, "had no profile or label, and CRIU only replaces one");
  REQUIRE_DONE(counter.restore());
  CHECK(label_in(bench, counter.id) == "unconfined");
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  replace_in(counter.bundle + "/config.json", "\"process\": {", "\"process\": {\"apparmorProfile\":\"husk-e2e\",");
  check_refused(bench, counter, {}, "config.json asks for a profile or label, and the processes in the image had none");
}

TEST_CASE("checkpoint with AppArmor: a profile that CRIU does not save is an error, and the container goes on") {
  REQUIRE_APPARMOR();
  REQUIRE_CRIU();
  Bench bench;
  // CRIU reads a name up to its first space. Source: apparmor_get_label() in criu/lsm.c.
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("spaced"), "profile \"husk-e2e two words\" { file, capability, signal, ptrace, unix, }\n"));
  REQUIRE_DONE(bench.shell("apparmor_parser -r " + bench.path("spaced")));
  Counter counter{bench, profile("husk-e2e two words")};
  CHECK_REFUSED(counter.save(), "CRIU has not saved that the container runs under \"apparmor:husk-e2e two words\"");
  CHECK(bench.status(counter.id) == "running");
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
  CHECK(!path_exists(counter.image + "/husk-checkpoint.json"));
}

constexpr const char* kOther = "user_u:base_r:other_t:s0";
constexpr const char* kOtherFile = "user_u:object_r:otherfile_t:s0";

bool criu_knows_selinux(Bench& bench) { return contains(bench.shell("ldd /usr/sbin/criu").out, "libselinux"); }

Change labelled(const std::string& label) {
  return [label](oci::Spec& spec) { spec.process->selinux_label = label; };
}

TEST_CASE("checkpoint with SELinux: a CRIU without it is an error for a container with a label, and the container goes on") {
  REQUIRE_SELINUX();
  REQUIRE_CRIU();
  Bench bench;
  load_policy(bench);
  if (criu_knows_selinux(bench)) HUSK_SKIP("this criu was built with libselinux");
  Counter counter{bench, labelled(kBox)};
  CHECK(label_in(bench, counter.id) == kBox);
  CHECK_REFUSED(counter.save(), format_text("CRIU has not saved that the container runs under \"selinux:{}\"", kBox));
  CHECK(bench.status(counter.id) == "running");
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  Frozen plain{bench, {"/bin/subject", "memory", "1"}};
  REQUIRE_DONE(plain.save());
  REQUIRE_DONE(bench.husk({"delete", plain.id}));
  check_refused(bench, plain, {"--lsm-profile", format_text("selinux:{}", kBox)}, "may have been built without libselinux");
  REQUIRE_DONE(plain.restore());
  CHECK(label_in(bench, plain.id) == "user_u:base_r:host_t:s0");
}

TEST_CASE("checkpoint and restore with SELinux: the label is back, or the one of --lsm-profile; what cannot be is one error") {
  REQUIRE_SELINUX();
  REQUIRE_CRIU();
  Bench bench;
  load_policy(bench);
  if (!criu_knows_selinux(bench)) HUSK_SKIP("needs a criu that was built with libselinux; Debian's is not");
  Counter counter{bench, labelled(kBox)};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  check_refused(bench, counter, {"--lsm-profile", "selinux:a:b:c:s0"}, "\"--lsm-profile\": set \"a:b:c:s0\" through `/proc/thread-self/attr/current`");
  check_refused(bench, counter, {"--lsm-profile", "apparmor:x"}, "AppArmor is not enabled on this host");
  REQUIRE_DONE(counter.restore());
  CHECK(label_in(bench, counter.id) == kBox);
  const int first = count_in(bench, counter.id);
  CHECK(counts_beyond(bench, counter.id, first + 2));
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  REQUIRE_DONE(counter.restore({"--lsm-profile", format_text("selinux:{}", kOther)}));
  CHECK(label_in(bench, counter.id) == kOther);
  CHECK(counts_beyond(bench, counter.id, first + 2));
}

TEST_CASE("checkpoint and restore with SELinux: file systems have the mount label again, or that of --lsm-mount-context") {
  REQUIRE_SELINUX();
  REQUIRE_CRIU();
  Bench bench;
  load_policy(bench);
  Counter counter{bench, [](oci::Spec& spec) {
                    spec.linux.mount_label = kBoxFile;
                    spec.linux.masked_paths = {"/proc/acpi", "/sys/firmware"};
                    spec.mounts.push_back({.destination = "/dev/mqueue", .type = "mqueue", .source = "mqueue", .options = {}});
                    spec.mounts.push_back(bind_with("/etc", "/home", {"ro"}));
                  }};
  const auto check_labels = [&](const std::string& wanted) {
    for (const auto* path : {"/dev", "/dev/null", "/dev/pts", "/dev/mqueue", "/tmp", "/tmp/count", "/sys/firmware"}) {
      CAPTURE(std::string{path});
      const auto value = sys::lgetxattr(format_text("/proc/{}/root{}", bench.pid(counter.id), path), "security.selinux");
      CHECK((value.has_value() ? std::string{value.value().c_str()} : value.error().to_string()) == wanted);
    }
    const auto bound = sys::lgetxattr(format_text("/proc/{}/root/home", bench.pid(counter.id)), "security.selinux");
    CHECK(std::string{bound.value().c_str()} == "user_u:object_r:host_t:s0");
  };
  check_labels(kBoxFile);
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  check_refused(bench, counter, {"--lsm-mount-context", "a:b:c:s0"}, "the loaded policy");
  REQUIRE_DONE(counter.restore());
  check_labels(kBoxFile);
  REQUIRE_DONE(bench.husk({"delete", "--force", counter.id}));
  REQUIRE_DONE(counter.restore({"--lsm-mount-context", kOtherFile}));
  check_labels(kOtherFile);
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
}

}  // namespace
}  // namespace husk::test
