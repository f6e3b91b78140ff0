// systemd over the bus: one connection, one request, one job waited for by its signal.
// Source: man 5 org.freedesktop.systemd1, "The Manager Object"; man 3 sd-bus.
#pragma once

#include <systemd/sd-bus.h>

#include <string>

#include "base/result.h"
#include "cgroups/systemd/request.h"

namespace husk::cgroups::systemd {

class Bus {
 public:
  // Errors: unavailable, denied; with the remedy.
  static Result<Bus> connect(Manager manager);
  Bus(Bus&& other) noexcept : bus_{std::exchange(other.bus_, nullptr)}, manager_{other.manager_}, is_direct_{other.is_direct_} {}
  Bus& operator=(Bus&&) = delete;
  ~Bus() { sd_bus_flush_close_unref(bus_); }

  Status perform(const Request& request);

 private:
  Bus(sd_bus* bus, Manager manager, bool is_direct) : bus_{bus}, manager_{manager}, is_direct_{is_direct} {}
  Status start(const Request& request);
  Status stop(const Request& request);
  Status set(const Request& request);
  Status attach(const Request& request);
  void reset_failed(const Request& request);
  // Calls a method whose answer is a job, and waits for its end.
  Status run_job(sd_bus_message* call, const Request& request, std::string_view method);

  sd_bus* bus_;
  Manager manager_;
  bool is_direct_;  // on systemd's own socket: nobody else is there
};

}  // namespace husk::cgroups::systemd
