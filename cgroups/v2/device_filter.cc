#include "cgroups/v2/device_filter.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/format.h"
#include "base/sys.h"
#include "cgroups/device_rules.h"

namespace husk::cgroups::v2 {
namespace {

// Registers. The context pointer arrives in r1; what it holds is loaded once.
constexpr int kResult = BPF_REG_0;
constexpr int kContext = BPF_REG_1;
constexpr int kAccess = BPF_REG_2;  // the bits that no rule has decided yet
constexpr int kType = BPF_REG_3;
constexpr int kMajor = BPF_REG_4;
constexpr int kMinor = BPF_REG_5;

class Assembler {
 public:
  void load(int to, std::size_t offset) {
    emit(BPF_LDX | BPF_MEM | BPF_W, to, kContext, static_cast<short>(offset), 0);
  }
  void move(int to, int from) { emit(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(int to, int value) { emit(BPF_ALU | BPF_MOV | BPF_K, to, 0, 0, value); }
  void bit_and(int to, int mask) { emit(BPF_ALU | BPF_AND | BPF_K, to, 0, 0, mask); }
  void shift_right(int to, int count) { emit(BPF_ALU | BPF_RSH | BPF_K, to, 0, 0, count); }
  void finish(bool verdict) {
    set(kResult, verdict ? 1 : 0);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  // To the end of the current group of rules, or to the verdict of the group; patched there.
  void skip_unless_equal(int what, std::uint32_t value) { jump(BPF_JNE, what, value, to_end_); }
  void skip_if_equal(int what, std::uint32_t value) { jump(BPF_JEQ, what, value, to_end_); }
  void decide_if_equal(int what, std::uint32_t value) { jump(BPF_JEQ, what, value, to_verdict_); }
  void begin_verdict() { land(to_verdict_); }
  void end_group() { land(to_end_); }
  std::vector<bpf_insn> take() { return std::move(program_); }

 private:
  void emit(int code, int to, int from, short offset, int value) {
    bpf_insn instruction{};
    instruction.code = static_cast<unsigned char>(code);
    instruction.dst_reg = static_cast<unsigned char>(to & 15);
    instruction.src_reg = static_cast<unsigned char>(from & 15);
    instruction.off = offset;
    instruction.imm = value;
    program_.push_back(instruction);
  }
  // 32-bit compare: a 64-bit one would sign-extend the number.
  void jump(int condition, int what, std::uint32_t value, std::vector<std::size_t>& open) {
    open.push_back(program_.size());
    emit(BPF_JMP32 | condition | BPF_K, what, 0, 0, static_cast<int>(value));
  }
  void land(std::vector<std::size_t>& open) {
    for (const auto at : open) program_[at].off = static_cast<short>(program_.size() - at - 1);
    open.clear();
  }

  std::vector<bpf_insn> program_;
  std::vector<std::size_t> to_end_;
  std::vector<std::size_t> to_verdict_;
};

bool is_any(const std::optional<std::int64_t>& number) { return number.value_or(-1) < 0; }

// Rules that differ only in the minor number share their tests: the kernel's verifier takes 80 us for
// the default rules one by one and 30 us in groups, which is felt at each start.
bool same_group(const oci::DeviceRule& a, const oci::DeviceRule& b) {
  return a.allow == b.allow && a.type == b.type && access_bits(a.access) == access_bits(b.access) &&
         !is_any(a.major) && !is_any(b.major) && *a.major == *b.major && !is_any(a.minor) && !is_any(b.minor);
}

void add_verdict(Assembler& code, bool allow, unsigned bits) {
  if (bits == kMayAll) {
    code.finish(allow);
  } else if (allow) {
    code.bit_and(kAccess, static_cast<int>(kMayAll & ~bits));
    code.skip_unless_equal(kAccess, 0);  // earlier rules decide the rest
    code.finish(true);
  } else {
    code.move(kResult, kAccess);
    code.bit_and(kResult, static_cast<int>(bits));
    code.skip_if_equal(kResult, 0);
    code.finish(false);
  }
}

void add_group(Assembler& code, std::span<const oci::DeviceRule> rules) {
  const auto& first = rules.front();
  if (first.type != 'a') code.skip_unless_equal(kType, first.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  if (!is_any(first.major)) code.skip_unless_equal(kMajor, static_cast<std::uint32_t>(*first.major));
  for (const auto& rule : rules.first(rules.size() - 1))
    code.decide_if_equal(kMinor, static_cast<std::uint32_t>(*rule.minor));
  if (!is_any(rules.back().minor)) code.skip_unless_equal(kMinor, static_cast<std::uint32_t>(*rules.back().minor));
  code.begin_verdict();
  add_verdict(code, first.allow, access_bits(first.access));
  code.end_group();
}

// Linux 6.17-7.1 write 8 bytes past a short bpf_attr in BPF_PROG_QUERY: always pass the whole union.
// Source: opencontainers/cgroups pull request 69.
Result<int> call_bpf(int command, bpf_attr& attr, std::string_view name) {
  return sys::bpf(command, &attr, sizeof attr, name);
}

Error explain_bpf(Error error) {
  if (error.os_errno() == EPERM || error.os_errno() == EACCES)
    return std::move(error).hint("a device filter needs CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN); EPERM also comes "
                                 "from a parent cgroup whose filter forbids others");
  if (error.os_errno() == EINVAL || error.os_errno() == ENOSYS)
    return std::move(error).as(Kind::unsupported).hint("the kernel needs CONFIG_CGROUP_BPF and version 5.1");
  return error;
}

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

constexpr char kFilterName[] = "husk_devices";

// Not open when everything is allowed.
Result<UniqueFd> load_filter(const std::vector<oci::DeviceRule>& rules) {
  const auto reduced = reduce_rules(rules);
  if (reduced.size() == 1 && reduced.front().allow) return UniqueFd{};
  const auto program = assemble_device_filter(reduced);
  bpf_attr load;
  std::memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = address_of(program.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.size());
  load.license = address_of("Apache-2.0");  // calls no helper that asks for GPL
  std::memcpy(load.prog_name, kFilterName, sizeof kFilterName);
  auto loaded = call_bpf(BPF_PROG_LOAD, load, "BPF_PROG_LOAD");
  if (!loaded.has_value()) return explain_bpf(loaded.error()).during("load the device filter");
  return UniqueFd{loaded.value()};
}

// `in_place_of`: atomic, since kernel 5.6.
Status attach(int cgroup_fd, const UniqueFd& filter, const UniqueFd* in_place_of) {
  bpf_attr attach;
  std::memset(&attach, 0, sizeof attach);
  attach.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attach.attach_bpf_fd = static_cast<std::uint32_t>(filter.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (in_place_of != nullptr) {
    attach.attach_flags |= BPF_F_REPLACE;
    attach.replace_bpf_fd = static_cast<std::uint32_t>(in_place_of->get());
  }
  auto attached = call_bpf(BPF_PROG_ATTACH, attach, "BPF_PROG_ATTACH");
  if (!attached.has_value()) return explain_bpf(attached.error()).during("attach the device filter");
  return ok();
}

Status detach(int cgroup_fd, const UniqueFd& filter) {
  bpf_attr detach;
  std::memset(&detach, 0, sizeof detach);
  detach.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  detach.attach_bpf_fd = static_cast<std::uint32_t>(filter.get());
  detach.attach_type = BPF_CGROUP_DEVICE;
  auto detached = call_bpf(BPF_PROG_DETACH, detach, "BPF_PROG_DETACH");
  if (!detached.has_value()) return explain_bpf(detached.error()).during("detach the device filter");
  return ok();
}

// Nothing for a program that went meanwhile.
Result<UniqueFd> open_if_ours(std::uint32_t id) {
  bpf_attr by_id;
  std::memset(&by_id, 0, sizeof by_id);
  by_id.prog_id = id;
  auto opened = call_bpf(BPF_PROG_GET_FD_BY_ID, by_id, "BPF_PROG_GET_FD_BY_ID");
  if (!opened.has_value() && opened.error().os_errno() == ENOENT) return UniqueFd{};
  if (!opened.has_value()) return explain_bpf(opened.error());
  UniqueFd program{opened.value()};
  bpf_prog_info info;
  std::memset(&info, 0, sizeof info);
  bpf_attr ask;
  std::memset(&ask, 0, sizeof ask);
  ask.info.bpf_fd = static_cast<std::uint32_t>(program.get());
  ask.info.info_len = sizeof info;
  ask.info.info = address_of(&info);
  TRY(call_bpf(BPF_OBJ_GET_INFO_BY_FD, ask, "BPF_OBJ_GET_INFO_BY_FD"));
  return std::string_view{info.name, ::strnlen(info.name, sizeof info.name)} == kFilterName ? std::move(program) : UniqueFd{};
}

// Attached to this very cgroup, in order of attachment.
Result<std::vector<UniqueFd>> find_our_filters(int cgroup_fd) {
  std::array<std::uint32_t, 64> ids{};  // BPF_CGROUP_MAX_PROGS in kernel/bpf/cgroup.c
  bpf_attr query;
  std::memset(&query, 0, sizeof query);
  query.query.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = address_of(ids.data());
  query.query.prog_cnt = ids.size();
  auto found = call_bpf(BPF_PROG_QUERY, query, "BPF_PROG_QUERY");
  if (!found.has_value()) return explain_bpf(found.error());
  std::vector<UniqueFd> ours;
  for (std::uint32_t i = 0; i < query.query.prog_cnt && i < ids.size(); ++i) {
    auto program = TRY(open_if_ours(ids[i]));
    if (program.is_open()) ours.push_back(std::move(program));
  }
  return ours;
}

}  // namespace

// Rules are tested last to first: the last one that matches decides. An access of several kinds
// (read and write) is allowed when each kind is.
std::vector<bpf_insn> assemble_device_filter(const std::vector<oci::DeviceRule>& rules) {
  Assembler code;
  code.load(kAccess, offsetof(bpf_cgroup_dev_ctx, access_type));  // (access << 16) | type
  code.load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  code.load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  code.move(kType, kAccess);
  code.bit_and(kType, 0xffff);
  code.shift_right(kAccess, 16);
  for (std::size_t end = rules.size(); end > 0;) {
    if (matches_everything(rules[end - 1])) {
      code.finish(rules[end - 1].allow);
      return code.take();
    }
    std::size_t begin = end - 1;
    while (begin > 0 && same_group(rules[begin - 1], rules[end - 1])) --begin;
    add_group(code, std::span{rules}.subspan(begin, end - begin));
    end = begin;
  }
  code.finish(false);
  return code.take();
}

Status attach_device_filter(int cgroup_fd, const std::vector<oci::DeviceRule>& rules) {
  const auto filter = TRY(load_filter(rules));
  return filter.is_open() ? attach(cgroup_fd, filter, nullptr) : ok();
}

Status replace_device_filter(int cgroup_fd, const std::vector<oci::DeviceRule>& rules) {
  const auto filter = TRY(load_filter(rules));
  auto ours = TRY(find_our_filters(cgroup_fd).during("find the device filter"));
  if (filter.is_open()) {
    TRY(attach(cgroup_fd, filter, ours.empty() ? nullptr : &ours.back()));
    if (!ours.empty()) ours.pop_back();
  }
  for (const auto& old : ours) TRY(detach(cgroup_fd, old));
  return ok();
}

}  // namespace husk::cgroups::v2
