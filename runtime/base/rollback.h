// Rollback runs the registered undo steps backwards unless commit() was reached.
// Source: runtime-spec runtime.md#runtimeErrors (a failed operation leaves nothing behind).
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace husk {

class Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) (*step)();
  }

  void on_failure(std::function<void()> undo) { undo_.push_back(std::move(undo)); }
  void commit() { undo_.clear(); }

 private:
  std::vector<std::function<void()>> undo_;
};

}  // namespace husk
