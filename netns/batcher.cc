#include "netns/batcher.h"

namespace husk::netns {

Status Batcher::run(const std::string& item, const Work& work) {
  std::unique_lock guard{mutex_};
  if (waiting_ == nullptr) waiting_ = std::make_shared<Batch>();
  const auto batch = waiting_;
  batch->items.push_back(item);
  finished_.wait(guard, [&] { return batch->done || !is_running_; });
  if (batch->done) return batch->result;
  is_running_ = true;
  waiting_ = nullptr;  // items that come from now on make the next batch
  guard.unlock();
  auto result = work(batch->items);
  guard.lock();
  batch->result = result;
  batch->done = true;
  is_running_ = false;
  finished_.notify_all();
  return result;
}

}  // namespace husk::netns
