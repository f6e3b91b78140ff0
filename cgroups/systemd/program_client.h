// husk-scope from husk's side: started, asked once, over.
#pragma once

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/systemd/request.h"

namespace husk::cgroups::systemd {

class ScopeProgram {
 public:
  // It connects to systemd at once and waits for its request.
  static Result<ScopeProgram> start(Manager manager);
  // Errors: those of systemd (exists, invalid, denied, …), with unit, bus and remedy.
  Status ask(const Request& request);

 private:
  ScopeProgram(Child child, UniqueFd socket) : child_{std::move(child)}, socket_{std::move(socket)} {}
  Child child_;  // killed and waited for with this
  UniqueFd socket_;
};

}  // namespace husk::cgroups::systemd
