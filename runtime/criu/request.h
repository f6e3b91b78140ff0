// What husk and husk-criu say to each other. husk: one Request, JSON in a memfd. husk-criu: Events, each one packet of
// a SOCK_SEQPACKET pair; a notification waits for the answer kGoOn or anything else, which means "give up".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace husk::criu {

struct InheritedFd {
  std::string key;
  int fd = -1;
};
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Descriptors are numbers in husk-criu, which inherits them.
struct Request {
  std::string action;  // dump, pre-dump or restore
  int pid = 0;         // dump: the container's init
  std::string root;    // dump: its rootfs; restore: where that is mounted
  int images_fd = -1;
  int work_fd = -1;    // where the log goes; -1: images_fd
  int status_fd = -1;
  std::string log_file;
  std::string log_path;  // the same for people
  bool leave_running = false;
  bool ext_unix_sk = false;
  bool tcp_established = false;
  bool tcp_close = false;
  bool tcp_skip_in_flight = false;
  bool shell_job = false;
  bool file_locks = false;
  bool link_remap = false;
  bool lazy_pages = false;
  bool auto_dedup = false;
  bool track_memory = false;
  bool needs_label = false;    // config.json asks for a profile or label
  bool in_own_cgroup = false;  // restore: husk-criu is in the cgroup that the container shall have
  std::string cgroup_mode;     // "" = CRIU's default
  std::string freeze_cgroup;
  std::string parent;
  std::string config_file;
  std::string network_lock;
  std::string lsm_profile;
  std::string saved_label;  // restore: that the container had, as --lsm-profile writes it
  std::string lsm_mount_context;
  std::string page_server_address;
  int page_server_port = 0;
  int empty_namespaces = 0;  // CLONE_NEW*
  Pairs mounts;              // dump: mount point → key; restore: key → source
  std::vector<std::string> externals;
  std::vector<InheritedFd> inherited;
  Pairs joined;              // name of a namespace → its file
};
std::string write_request(const Request& request);
Result<Request> parse_request(std::string_view text);

struct Event {
  std::string kind;    // notify, done or failed
  std::string script;  // notify: CRIU's name for the moment
  int pid = 0;         // notify, done: the restored init
  std::string text;    // failed: why; notify: of post-dump the container's label, of pre-resume why it must not run
  std::string hint;    // of the reason
};
std::string write_event(const Event& event);
Result<Event> parse_event(std::string_view text);
inline constexpr std::string_view kGoOn = "go on";
inline constexpr std::size_t kMaxEvent = 64U << 10U;

}  // namespace husk::criu
