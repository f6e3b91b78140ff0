// Talks to husk-monitor: one connection per pod, many requests in flight on it.
// PodMonitor and Monitors are seams: tests of the services put fakes behind them.
// MonitorHub is the real thing: one epoll thread reads all connections, one thread delivers events.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/monitor/protocol.h"

namespace husk::cri {

class PodMonitor {
 public:
  using Answer = std::future<Result<monitor::Reply>>;
  virtual ~PodMonitor() = default;

  // Sends at once; `request.number` is filled in here. Descriptors are borrowed for the call.
  virtual Answer send(monitor::Request request, const std::vector<int>& descriptors = {}) = 0;
  // The next end of the connection is wanted: no "lost" event for it.
  virtual void expect_end() = 0;

  // send, then wait. A reply that is not ok becomes an error of the kind it names.
  Result<monitor::Reply> call(monitor::Request request, std::int64_t timeout_ms,
                              const std::vector<int>& descriptors = {});
};
Result<monitor::Reply> wait_for(PodMonitor::Answer& answer, std::int64_t timeout_ms, std::string_view what);

// Called on the event thread, one at a time; may block.
class MonitorEvents {
 public:
  virtual ~MonitorEvents() = default;
  virtual void container_exited(const std::string& pod_id, const monitor::ExitRecord& record) = 0;
  virtual void monitor_lost(const std::string& pod_id) = 0;
};

class Monitors {
 public:
  virtual ~Monitors() = default;
  // Starts husk-monitor for a pod; `finish` waits until it listens and connects. Two steps, so that
  // its start overlaps with the making of the network.
  class Starting {
   public:
    virtual ~Starting() = default;  // without finish(): ends the process
    virtual Result<std::shared_ptr<PodMonitor>> finish() = 0;
  };
  virtual Result<std::unique_ptr<Starting>> start(const std::string& pod_id, const std::string& directory) = 0;
  // To one that runs already. Errors: not_found, unavailable (nobody listens).
  virtual Result<std::shared_ptr<PodMonitor>> connect(const std::string& pod_id, const std::string& directory) = 0;
};

struct MonitorPrograms {
  std::string monitor;
  std::string husk;
  std::string runtime_root;
};

class MonitorHub : public Monitors {
 public:
  static Result<std::unique_ptr<MonitorHub>> create(MonitorPrograms programs);
  ~MonitorHub() override;
  // Before the first start or connect.
  void set_listener(MonitorEvents* listener);

  Result<std::unique_ptr<Starting>> start(const std::string& pod_id, const std::string& directory) override;
  Result<std::shared_ptr<PodMonitor>> connect(const std::string& pod_id, const std::string& directory) override;

  class Impl;

 private:
  explicit MonitorHub(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace husk::cri
