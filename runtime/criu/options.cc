#include "criu/options.h"

#include <array>

#include "base/format.h"
#include "base/text.h"

namespace husk::criu {
namespace {

template <class T>
struct Word {
  std::string_view name;
  T value;
};
constexpr std::array kModes{Word<rpc::criu_cg_mode>{"ignore", rpc::IGNORE}, Word<rpc::criu_cg_mode>{"cg-none", rpc::CG_NONE},
                            Word<rpc::criu_cg_mode>{"none", rpc::CG_NONE},  Word<rpc::criu_cg_mode>{"props", rpc::PROPS},
                            Word<rpc::criu_cg_mode>{"soft", rpc::SOFT},     Word<rpc::criu_cg_mode>{"full", rpc::FULL},
                            Word<rpc::criu_cg_mode>{"strict", rpc::STRICT}, Word<rpc::criu_cg_mode>{"", rpc::SOFT}};
using Lock = rpc::criu_network_lock_method;
constexpr std::array kLocks{Word<Lock>{"iptables", rpc::IPTABLES}, Word<Lock>{"nftables", rpc::NFTABLES},
                            Word<Lock>{"skip", rpc::SKIP}};
constexpr std::array kActions{Word<rpc::criu_req_type>{"dump", rpc::DUMP}, Word<rpc::criu_req_type>{"pre-dump", rpc::PRE_DUMP},
                              Word<rpc::criu_req_type>{"restore", rpc::RESTORE}};

template <class Table>
auto value_of(const Table& table, std::string_view name) -> Result<decltype(table[0].value)> {
  for (const auto& row : table)
    if (row.name == name) return row.value;
  return Error{Kind::invalid, format_text("{} is no word that CRIU knows here", quote(name))};
}

void set_text(std::string_view value, auto&& set) {
  if (!value.empty()) set(std::string{value});
}

void set_flags(const Request& request, rpc::criu_opts& opts) {
  opts.set_leave_running(request.leave_running);
  opts.set_ext_unix_sk(request.ext_unix_sk);
  opts.set_tcp_established(request.tcp_established);
  opts.set_tcp_close(request.tcp_close);
  opts.set_tcp_skip_in_flight(request.tcp_skip_in_flight);
  opts.set_shell_job(request.shell_job);
  opts.set_file_locks(request.file_locks);
  opts.set_link_remap(request.link_remap);
  opts.set_lazy_pages(request.lazy_pages);
  opts.set_auto_dedup(request.auto_dedup);
  opts.set_track_mem(request.track_memory);
  opts.set_evasive_devices(true);
  opts.set_orphan_pts_master(true);
  opts.set_notify_scripts(true);
}

void set_texts(const Request& request, rpc::criu_opts& opts) {
  set_text(request.root, [&](auto text) { opts.set_root(text); });
  set_text(request.freeze_cgroup, [&](auto text) { opts.set_freeze_cgroup(text); });
  set_text(request.parent, [&](auto text) { opts.set_parent_img(text); });
  set_text(request.config_file, [&](auto text) { opts.set_config_file(text); });
  set_text(request.lsm_profile, [&](auto text) { opts.set_lsm_profile(text); });
  set_text(request.lsm_mount_context, [&](auto text) { opts.set_lsm_mount_context(text); });
  if (request.page_server_port == 0) return;
  opts.mutable_ps()->set_address(request.page_server_address);
  opts.mutable_ps()->set_port(request.page_server_port);
}

void set_outside(const Request& request, rpc::criu_opts& opts) {
  for (const auto& [key, value] : request.mounts) {
    auto* item = opts.add_ext_mnt();
    item->set_key(key);
    item->set_val(value);
  }
  for (const auto& external : request.externals) opts.add_external(external);
  for (const auto& [name, file] : request.joined) {
    auto* item = opts.add_join_ns();
    item->set_ns(name);
    item->set_ns_file(file);
  }
  for (const auto& inherited : request.inherited) {
    auto* item = opts.add_inherit_fd();
    item->set_key(inherited.key);
    item->set_fd(inherited.fd);
  }
}

// The tree of cgroups in the image gets our own cgroup for its root: the container may have another path now.
// Source: man 8 criu, --cgroup-root.
void set_cgroup_roots(std::string_view own_groups, rpc::criu_opts& opts) {
  for (const auto line : split(own_groups, '\n')) {
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    auto* item = opts.add_cg_root();
    item->set_ctrl(std::string{line.substr(first + 1, second - first - 1)});
    item->set_path(std::string{line.substr(second + 1)});
  }
}

}  // namespace

Result<rpc::criu_req> make_rpc_request(const Request& request, std::string_view own_groups) {
  rpc::criu_req message;
  message.set_type(TRY(value_of(kActions, request.action)));
  auto& opts = *message.mutable_opts();
  opts.set_images_dir_fd(request.images_fd);
  if (request.work_fd >= 0) opts.set_work_dir_fd(request.work_fd);
  opts.set_log_level(4);
  opts.set_log_file(request.log_file);
  set_flags(request, opts);
  set_texts(request, opts);
  set_outside(request, opts);
  opts.set_manage_cgroups(true);
  opts.set_manage_cgroups_mode(TRY(value_of(kModes, request.cgroup_mode)));
  if (!request.network_lock.empty()) opts.set_network_lock(TRY(value_of(kLocks, request.network_lock)));
  if (request.empty_namespaces != 0) opts.set_empty_ns(static_cast<std::uint32_t>(request.empty_namespaces));
  if (request.pid != 0) opts.set_pid(request.pid);
  if (message.type() == rpc::RESTORE) opts.set_rst_sibling(true);
  if (request.in_own_cgroup) set_cgroup_roots(own_groups, opts);
  return message;
}

}  // namespace husk::criu
