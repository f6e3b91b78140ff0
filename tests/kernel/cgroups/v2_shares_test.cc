// io.weight, io.bfq.weight and rdma.max of cgroup v2: kernels with all of them are rare; tests/vm --full has one.
#include <rdma/ib_user_verbs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "kernel/cgroups/payloads.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

namespace {

bool has_file(const std::string& path, const std::string& name) { return path_exists("/sys/fs/cgroup" + path + "/" + name); }

bool is_machine_of_our_own() { return ::getenv("HUSK_VM") != nullptr; }

// True when it ran and ended with 0.
bool run_program(const std::vector<std::string>& words) {
  const auto done = run({.path = words.front(), .arguments = words});
  return done.has_value() && done.value().status.success();
}

// The first line of a file that begins with `key`.
std::string line_of(const std::string& text, const std::string& key) {
  for (const auto line : split(text, '\n'))
    if (line.starts_with(key)) return std::string{line};
  return "";
}

// A context of its own at the RDMA device, which counts as one handle of it: 0, or the errno of the kernel's refusal.
// Source: linux/rdma/ib_user_verbs.h, IB_USER_VERBS_CMD_GET_CONTEXT; ib_rdmacg_try_charge() in drivers/infiniband.
int open_context() {
  const int fd = ::open("/dev/infiniband/uverbs0", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ib_uverbs_get_context_resp answer{};
  struct {
    ib_uverbs_cmd_hdr header;
    ib_uverbs_get_context command;
  } request{};
  request.header = {.command = IB_USER_VERBS_CMD_GET_CONTEXT, .in_words = sizeof request / 4, .out_words = sizeof answer / 4};
  request.command.response = reinterpret_cast<std::uintptr_t>(&answer);
  return ::write(fd, &request, sizeof request) == sizeof request ? 0 : errno;
}

// Software RDMA over the loopback interface, in a machine of our own; "" where there is none.
std::string rdma_device() {
  if (is_machine_of_our_own() && !path_exists("/sys/class/infiniband/husk0")) {
    (void)run_program({"/sbin/modprobe", "rdma_rxe"});
    (void)run_program({"/sbin/modprobe", "ib_uverbs"});
    (void)run_program({"/bin/rdma", "link", "add", "husk0", "type", "rxe", "netdev", "lo"});
  }
  return path_exists("/sys/class/infiniband/husk0") ? "husk0" : "";
}

}  // namespace

TEST_CASE("config-linux.md#block-io: weights are in force, of BFQ on its scale, else of io.weight on its own") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("io");
  const LoopDevice loop;
  if (!loop.works()) HUSK_SKIP("no loop device can be made here");
  const auto scheduler = "/sys/block/" + loop.path().substr(5) + "/queue/scheduler";
  bool bfq = false;
  if (is_machine_of_our_own()) {
    (void)run_program({"/sbin/modprobe", "bfq"});
    bfq = write_existing(AT_FDCWD, scheduler, "bfq").has_value();
  }
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  const bool has_bfq = has_file(path, "io.bfq.weight");
  if (!has_bfq && !has_file(path, "io.weight")) {
    CHECK_OK(cgroup->remove());
    HUSK_SKIP("this kernel has neither io.bfq.weight nor io.weight (CONFIG_BFQ_GROUP_IOSCHED, CONFIG_BLK_CGROUP_IOCOST)");
  }
  const auto device = loop.limit(0);
  const auto weights = [&](std::uint16_t all, std::uint16_t one) {
    oci::BlockIoLimits io{.weight = all};
    if (bfq) io.weight_devices = {{.major = device.major, .minor = device.minor, .weight = one}};
    return plan_of(Version::v2, path, {.block_io = io});
  };
  CHECK_OK(cgroup->apply(weights(500, 300)));
  const std::string file = has_bfq ? "io.bfq.weight" : "io.weight";
  CHECK(line_of(value_of(path, file), "default") == (has_bfq ? "default 500" : "default 4950"));
  const auto name = format_text("{}:{}", device.major, device.minor);
  if (bfq) CHECK(line_of(value_of(path, file), name) == name + " 300");
  CHECK_OK(cgroup->apply(weights(10, 1000)));
  CHECK(line_of(value_of(path, file), "default") == (has_bfq ? "default 10" : "default 1"));
  if (bfq) CHECK(line_of(value_of(path, file), name) == name + " 1000");
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#rdma: a process with as many handles as the limit allows gets no more") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("rdma");
  const auto device = rdma_device();
  if (device.empty()) HUSK_SKIP("no RDMA device of ours can be made here (tests/vm/run --full)");
  const auto path = own_path();
  const auto limited = [&](std::uint32_t handles) {
    oci::Resources resources;
    resources.devices = {{.allow = true, .type = 'c', .access = "rw"}};
    resources.rdma = {{.device = device, .hca_handles = handles, .hca_objects = 100}};
    return plan_of(Version::v2, path, resources);
  };
  auto cgroup = make(limited(2));
  CHECK(value_of(path, "rdma.max") == device + " hca_handle=2 hca_object=100");
  const auto contexts = [](int count) {
    int error = 0;
    for (int i = 0; i < count && error == 0; ++i) error = open_context();
    return error;
  };
  if (const int plain = exit_code(start_child([&] { return contexts(1); })); plain != 0) {
    CHECK_OK(cgroup->remove());
    HUSK_SKIP(format_text("the RDMA device gives nobody a context (errno {})", plain));
  }
  CHECK(exit_code(start_child([&] { return contexts(2); }, cgroup->clone_fd())) == 0);
  CHECK(exit_code(start_child([&] { return contexts(3); }, cgroup->clone_fd())) == EAGAIN);
  CHECK_OK(cgroup->apply(limited(3)));
  CHECK(exit_code(start_child([&] { return contexts(3); }, cgroup->clone_fd())) == 0);
  CHECK_OK(cgroup->remove());
}
