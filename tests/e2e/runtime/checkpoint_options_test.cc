// Each option of checkpoint and restore, where its effect shows: without it CRIU refuses or something is lost, with it
// the container has what it had.
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "frozen.h"

namespace husk::test {
namespace {

std::string shared_directory(Bench& bench, mode_t mode = 0777) {
  const auto path = bench.path("shared");
  REQUIRE_OK(make_directories(path));
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, path, mode));
  return path;
}

Change with_shared(const std::string& path) {
  return [path](oci::Spec& spec) { spec.mounts.push_back(bind_with(path, "/shared", {"rw"})); };
}

bool is_locked(const std::string& path) {
  const auto file = sys::openat(AT_FDCWD, path, O_RDWR);
  return file.has_value() && ::flock(file.value().get(), LOCK_EX | LOCK_NB) != 0;
}

TEST_CASE("checkpoint --file-locks, restore: the lock is held again, and without the option nothing is saved") {
  REQUIRE_CRIU();
  Bench bench;
  const auto shared = shared_directory(bench);
  Subject subject{bench, {"lock", "/shared/file"}, with_shared(shared)};
  REQUIRE(counts_beyond(bench, subject.id, 0));
  CHECK(is_locked(shared + "/file"));
  CHECK_REFUSED(subject.save(), "--file-locks");
  CHECK(bench.status(subject.id) == "running");
  REQUIRE_DONE(subject.save({"--file-locks"}));
  CHECK(!is_locked(shared + "/file"));
  REQUIRE_DONE(subject.restore({"--file-locks"}));
  CHECK(is_locked(shared + "/file"));
  CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id)));
}

TEST_CASE("checkpoint --link-remap, restore: a file that has lost the name it was opened by is written on") {
  REQUIRE_CRIU();
  Bench bench;
  const auto shared = shared_directory(bench);
  Subject subject{bench, {"renamed", "/shared"}, with_shared(shared)};
  const auto number = [&] {
    const auto text = read_file(shared + "/b");
    int value = 0;
    if (text.has_value() && text.value().size() == sizeof value) text.value().copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  };
  REQUIRE(eventually([&] { return number() > 1; }));
  CHECK_REFUSED(subject.save(), "link-remap");
  CHECK(bench.status(subject.id) == "running");
  REQUIRE_DONE(subject.save({"--link-remap"}));
  const int before = number();
  REQUIRE_DONE(subject.restore());
  CHECK(eventually([&] { return number() > before + 2; }));
  CHECK(bench.shell("ls " + shared).out == "b\n");
}

TEST_CASE("checkpoint --tcp-established, restore --tcp-established: a connection inside the container goes on") {
  REQUIRE_CRIU();
  Bench bench;
  Subject subject{bench, {"connected", "5000"}};
  REQUIRE(counts_beyond(bench, subject.id, 2));
  CHECK_REFUSED(subject.save(), "tcp-established");
  CHECK(bench.status(subject.id) == "running");
  CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id)));
  REQUIRE_DONE(subject.save({"--tcp-established"}));
  CHECK_REFUSED(subject.restore(), "give --tcp-established to keep it, or --tcp-close");
  REQUIRE_DONE(subject.restore({"--tcp-established"}));
  CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id) + 2));
  CHECK(number_in(bench, subject.id, "/tmp/closed") == 0);
}

TEST_CASE("checkpoint --network-lock: each method keeps the connection; only iptables needs that program") {
  REQUIRE_CRIU();
  for (const auto* method : {"iptables", "nftables", "skip"}) {
    CAPTURE(std::string{method});
    Bench bench;
    Subject subject{bench, {"connected", "5000"}};
    REQUIRE(counts_beyond(bench, subject.id, 2));
    const auto alone = bench.shell("mkdir " + bench.path("bin") + "; ln -s /usr/bin/* /usr/sbin/criu $(command -v ip) " + bench.path("bin") + " 2>/dev/null; PATH=" + bench.path("bin") +
                                   "; export PATH; husk checkpoint --leave-running --tcp-established --network-lock " + method + " --image-path " +
                                   bench.path("alone") + " " + subject.id);
    CHECK_MESSAGE((alone.status.code == 0) == (std::string{method} != "iptables"), alone.err);
    CHECK(bench.status(subject.id) == "running");
    REQUIRE_DONE(subject.save({"--tcp-established", "--network-lock", method}));
    REQUIRE_DONE(subject.restore({"--tcp-established", "--network-lock", method}));
    CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id) + 2));
  }
}

TEST_CASE("restore --tcp-close: the program finds its connection closed and lives") {
  REQUIRE_CRIU();
  Bench bench;
  Subject subject{bench, {"connected", "5000"}};
  REQUIRE(counts_beyond(bench, subject.id, 2));
  REQUIRE_DONE(subject.save({"--tcp-established"}));
  REQUIRE_DONE(subject.restore({"--tcp-close"}));
  CHECK(eventually([&] { return number_in(bench, subject.id, "/tmp/closed") == 1; }));
  CHECK(bench.status(subject.id) == "running");
}

TEST_CASE("checkpoint --tcp-skip-in-flight: a connection that nobody took yet is left out, and the port listens after restore") {
  REQUIRE_CRIU();
  Bench bench;
  Subject subject{bench, {"listening", "5001"}};
  REQUIRE(counts_beyond(bench, subject.id, 0));
  // Somebody outside of the container, in its network.
  const auto visit = [&] {
    auto child = spawn({.path = "/usr/bin/nsenter",
                        .arguments = {"nsenter", format_text("--net=/proc/{}/ns/net", bench.pid(subject.id)), "/bin/busybox", "nc", "127.0.0.1", "5001"}});
    REQUIRE_OK(child);
    return std::move(child).value();
  };
  {
    const auto visitor = visit();
    const auto refused = [&] { return subject.save({"--leave-running"}).status.code == 1; };
    CHECK(eventually(refused));
    CHECK(bench.status(subject.id) == "running");
    REQUIRE_DONE(subject.save({"--tcp-skip-in-flight"}));
  }
  REQUIRE_DONE(subject.restore());
  CHECK(number_in(bench, subject.id, "/tmp/accepted") == 0);
  REQUIRE_DONE(bench.husk({"exec", subject.id, "/bin/touch", "/tmp/accept"}));
  const auto visitor = visit();
  CHECK(eventually([&] { return number_in(bench, subject.id, "/tmp/accepted") == 1; }));
}

TEST_CASE("checkpoint --ext-unix-sk, restore --ext-unix-sk: datagrams to a socket of the host come again") {
  REQUIRE_CRIU();
  Bench bench;
  const auto shared = shared_directory(bench);
  const auto socket = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (shared + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, shared + "/socket", 0777));
  const auto comes = [&] {
    std::array<char, 16> byte{};
    while (::recv(socket.get(), byte.data(), byte.size(), MSG_DONTWAIT) > 0) {
    }
    return eventually([&] { return ::recv(socket.get(), byte.data(), byte.size(), MSG_DONTWAIT) == 1; });
  };
  Subject subject{bench, {"unix", shared + "/socket"}, [&](oci::Spec& spec) {
                    // At the restore CRIU looks for it by the name that its owner gave it.
                    spec.mounts.push_back(bind_with(shared, shared, {"rw"}));
                    // CRIU sees sockets of the network namespace that the container is in.
                    std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::network; });
                    std::erase_if(spec.mounts, [](const auto& mount) { return mount.type == "sysfs"; });
                  }};
  REQUIRE(comes());
  CHECK_REFUSED(subject.save(), "ext-unix-sk");
  CHECK(bench.status(subject.id) == "running");
  REQUIRE_DONE(subject.save({"--ext-unix-sk"}));
  REQUIRE_DONE(subject.restore({"--ext-unix-sk"}));
  CHECK(comes());
}

TEST_CASE("checkpoint and restore --work-path: CRIU's log is there, and not beside the image") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto work = bench.path("work");
  REQUIRE_DONE(counter.save({"--work-path", work}));
  REQUIRE_DONE(counter.restore({"--work-path", work}));
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id)));
  for (const auto* log : {"/dump.log", "/restore.log"}) {
    CHECK(path_exists(work + log));
    CHECK(!path_exists(counter.image + log));
  }
  CHECK(path_exists(counter.image + "/inventory.img"));
  CHECK(!path_exists(work + "/inventory.img"));
}

TEST_CASE("restore --empty-ns network: the network is left to the caller, as it was new") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto link = [&] { return bench.husk({"exec", counter.id, "ip", "link"}).out; };
  CHECK_MESSAGE(contains(link(), "LOOPBACK,UP"), link());
  SUBCASE("at the restore") {
    REQUIRE_DONE(counter.save());
    REQUIRE_DONE(counter.restore({"--empty-ns", "network"}));
  }
  SUBCASE("at both") {
    REQUIRE_DONE(counter.save({"--empty-ns", "network"}));
    CHECK(bench.shell("ls " + counter.image + "/netdev-*").out.empty());
    REQUIRE_DONE(counter.restore({"--empty-ns", "network"}));
  }
  CHECK_MESSAGE(contains(link(), "LOOPBACK>"), link());
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id)));
}

TEST_CASE("restore --auto-dedup: memory leaves the image as it is restored") {
  REQUIRE_CRIU();
  Bench bench;
  Subject subject{bench, {"memory", "8"}};
  REQUIRE(counts_beyond(bench, subject.id, 0));
  REQUIRE_DONE(subject.save());
  const auto size = [&] { return parse_uint32(trim(bench.shell("du -c -k " + subject.image + "/pages-*.img | tail -n 1 | cut -f 1").out)).value(); };
  const auto before = size();
  CHECK(before >= 8 * 1024);
  REQUIRE_DONE(subject.restore({"--auto-dedup"}));
  CHECK(size() < before / 4);
  REQUIRE_DONE(bench.husk({"exec", subject.id, "/bin/touch", "/tmp/check"}));
  CHECK(counts_beyond(bench, subject.id, count_in(bench, subject.id) + 2));
}

TEST_CASE("checkpoint --auto-dedup with a parent: memory that is saved again leaves the parent") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto first = bench.husk({"checkpoint", "--pre-dump", "--image-path", bench.path("pre"), counter.id});
  if (contains(first.err, "Tracking memory is not available")) HUSK_SKIP("the kernel does not track memory");
  REQUIRE_MESSAGE(first.status.code == 0, first.err);
  const auto size = [&] { return parse_uint32(trim(bench.shell("du -c -k " + bench.path("pre") + "/pages-*.img | tail -n 1 | cut -f 1").out)).value(); };
  const auto before = size();
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
  REQUIRE_DONE(counter.save({"--parent-path", "../pre", "--auto-dedup"}));
  CHECK(size() < before);
  REQUIRE_DONE(counter.restore());
  CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id)));
}

TEST_CASE("checkpoint and restore --manage-cgroups-mode: what becomes of a group that the container made") {
  REQUIRE_CRIU();
  struct Row {
    const char* mode;
    const char* text;  // of the error, or of /proc/1/cgroup
    bool good;
  };
  const auto script = std::string{"mkdir /sys/fs/cgroup/own; echo 0 >/sys/fs/cgroup/own/cgroup.procs; "} + kCounter;
  for (const auto& row : {Row{"soft", "0::/own\n", true}, Row{"full", "0::/own\n", true}, Row{"ignore", "0::/husk-e2e/", true},
                          Row{"none", "use --manage-cgroups-mode soft", false}, Row{"props", "own doesn't exist", false}, Row{"strict", "existing cgroups", false}}) {
    CAPTURE(std::string{row.mode});
    Bench bench{Hierarchy::unified};
    Frozen frozen{bench, {"/bin/sh", "-c", script}, [](oci::Spec& spec) {
                    spec.mounts.push_back({.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = {"rw"}});
                  }};
    REQUIRE(counts_beyond(bench, frozen.id, 2));
    REQUIRE_DONE(frozen.save({"--manage-cgroups-mode", row.mode}));
    REQUIRE_DONE(bench.husk({"delete", frozen.id}));
    const auto before = bench.world();
    const auto restored = frozen.restore({"--manage-cgroups-mode", row.mode});
    CHECK_MESSAGE((restored.status.code == 0) == row.good, restored.err);
    const auto text = row.good ? bench.husk({"exec", frozen.id, "cat", "/proc/1/cgroup"}).out : restored.err;
    CHECK_MESSAGE(contains(text, row.text), text);
    if (!row.good) CHECK_WORLD(bench, before);
  }
}

TEST_CASE("restore --no-pivot: a container that was made so goes on") {
  REQUIRE_CRIU();
  Bench bench;
  const auto bundle = bench.shell_bundle(kCounter, with_tmp);
  REQUIRE_DONE(bench.husk({"run", "-d", "--no-pivot", "-b", bundle, bench.id()}));
  REQUIRE(counts_beyond(bench, bench.id(), 2));
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}));
  REQUIRE_DONE(bench.husk({"restore", "-d", "--no-pivot", "-b", bundle, "--image-path", bench.path("image"), bench.id()}));
  CHECK(counts_beyond(bench, bench.id(), count_in(bench, bench.id()) + 2));
  CHECK(bench.husk({"exec", bench.id(), "ls", "/"}).out == bench.shell("ls " + busybox_rootfs()).out);
}

std::string parent_of(const std::string& pid) {
  const auto text = read_file(format_text("/proc/{}/status", pid));
  if (!text.has_value()) return "";
  for (const auto line : split(text.value(), '\n'))
    if (line.starts_with("PPid:")) return std::string{trim(line.substr(5))};
  return "";
}

TEST_CASE("restore --no-subreaper: orphans of a container without a pid namespace are not ours") {
  REQUIRE_CRIU();
  for (const bool subreaper : {true, false}) {
    CAPTURE(subreaper);
    Bench bench;
    const auto script = "while ! [ -e /tmp/go ]; do sleep 0.05; done; sh -c 'sleep 100 & echo $! >/tmp/orphan'; while :; do sleep 0.1; done";
    Frozen frozen{bench, {"/bin/sh", "-c", script}, [](oci::Spec& spec) {
                    std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::pid; });
                  }};
    REQUIRE_DONE(frozen.save());
    std::vector<std::string> words{"restore", "-b", frozen.bundle, "--image-path", frozen.image, frozen.id};
    if (!subreaper) words.insert(words.begin() + 1, "--no-subreaper");
    auto child = bench.start(words, {});
    REQUIRE(eventually([&] { return bench.husk({"exec", frozen.id, "/bin/touch", "/tmp/go"}).status.code == 0; }));
    REQUIRE(eventually([&] { return number_in(bench, frozen.id, "/tmp/orphan") > 0; }));
    const auto orphan = std::to_string(number_in(bench, frozen.id, "/tmp/orphan"));
    CHECK(eventually([&] { return parent_of(orphan) == (subreaper ? std::to_string(child.pid()) : "1"); }));
    REQUIRE_DONE(bench.husk({"delete", "--force", frozen.id}));
    CHECK(child.wait().value().code == 137);
  }
}

TEST_CASE("restore --lsm-profile, --lsm-mount-context: without the security module an error, and nothing is left") {
  REQUIRE_CRIU();
  if (path_exists("/sys/kernel/security/apparmor") || path_exists("/sys/fs/selinux/enforce")) HUSK_SKIP("this kernel has one");
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto before = bench.world();
  CHECK_REFUSED(counter.restore({"--lsm-profile", "apparmor:husk-e2e"}), "\"--lsm-profile\": AppArmor is not enabled on this host");
  CHECK_REFUSED(counter.restore({"--lsm-profile", "selinux:a:b:c"}), "\"--lsm-profile\": SELinux is not enabled on this host");
  CHECK_REFUSED(counter.restore({"--lsm-profile", "junk"}), "must be apparmor:NAME or selinux:LABEL");
  CHECK_REFUSED(counter.restore({"--lsm-mount-context", "a:b:c"}), "SELinux is not enabled on this host");
  CHECK_WORLD(bench, before);
}

TEST_CASE("checkpoint and restore of a container with a user namespace: its ids, its mounts and its memory are back") {
  REQUIRE_CRIU();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto shared = shared_directory(bench);
    // The container's state and the image are closed to its root.
    REQUIRE_OK(make_directories(bench.root(), 0700));
    Counter counter{bench, [&](oci::Spec& spec) {
                      spec.linux.namespaces.push_back({.type = oci::NamespaceType::user});
                      spec.linux.uid_mappings = {{.container_id = 0, .host_id = 100'000, .size = 65'536}};
                      spec.linux.gid_mappings = spec.linux.uid_mappings;
                      spec.linux.masked_paths = {"/proc/kcore", "/proc/acpi"};
                      spec.linux.readonly_paths = {"/proc/sys"};
                      spec.mounts.push_back(bind_with(shared, "/home", {"rw"}));
                      spec.mounts.push_back(bind_with(shared, "/root", {"ro"}));
                    }};
    REQUIRE_DONE(counter.save());
    REQUIRE_DONE(bench.husk({"delete", counter.id}));
    CHECK(bench.shell("stat -c %a " + counter.image).out == "700\n");
    REQUIRE_DONE(counter.restore());
    CHECK(counts_beyond(bench, counter.id, count_in(bench, counter.id) + 2));
    const auto map = read_file(format_text("/proc/{}/uid_map", bench.pid(counter.id)));
    CHECK_MESSAGE(contains(map.value(), "100000      65536"), map.value());
    check_ok(bench.husk({"exec", counter.id, "/bin/sh", "-c", "touch /home/x && ! touch /root/y && ! echo 1 >/proc/sys/kernel/printk"}));
    CHECK(bench.shell("stat -c %u:%g " + shared + "/x").out == "100000:100000\n");
    counter.image = bench.path("again");
    REQUIRE_DONE(counter.save({"--leave-running"}));
    check_ok(bench.husk({"delete", "--force", counter.id}));
  }
}

}  // namespace
}  // namespace husk::test
