// The monitor of one pod: takes requests from the server, finds the container, sends the answers.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "monitor/container.h"
#include "monitor/exec_table.h"
#include "monitor/protocol.h"
#include "monitor/reaper.h"
#include "monitor/runtime_caller.h"
#include "monitor/server.h"

namespace husk::monitor {

struct MonitorOptions {
  std::string pod_id;
  std::string directory;  // DIR
  RuntimeProgram runtime;
};

class Monitor {
 public:
  static Result<std::unique_ptr<Monitor>> create(EventLoop& loop, const MonitorOptions& options);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

  void on_child_signal();
  // SIGTERM: leaves when the last container has ended (a machine that shuts down ends them too).
  void leave_when_idle();

 private:
  Monitor(EventLoop& loop, const MonitorOptions& options);
  Status own_directory();
  void on_packet(Server::Packet packet);
  void dispatch(const Request& request, Server::ClientId client, std::vector<UniqueFd> fds,
                const Answer& answer);
  void for_container(const Request& request, std::vector<UniqueFd> fds, const Answer& answer);
  void create_container(const Request& request, const Answer& answer);
  void remove_container(const Request& request, const Answer& answer);
  void exec(Container& container, const Request& request, std::vector<UniqueFd> fds, const Answer& answer);
  void shut_down(bool force, const Answer& answer);
  void publish(const Event& event);
  void leave_if_asked();
  std::vector<std::shared_ptr<Container>> alive() const;
  Reply hello() const;

  EventLoop& loop_;
  MonitorOptions options_;
  UniqueFd pid_file_;  // locked: two monitors never share a directory
  std::array<char, 32U << 10U> scratch_{};
  Reaper reaper_;
  RuntimeCaller runtime_;
  ExecTable execs_;
  Surroundings surroundings_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  std::unique_ptr<Server> server_;
  std::vector<Answer> leaving_;  // shutdown requests that wait for the last container
  bool leave_ = false;
};

}  // namespace husk::monitor
