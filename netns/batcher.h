// Joins the work of threads that come while another is busy: one of them does it for all. Taking pods away
// needs it. The kernel waits for RCU grace periods, one caller after the other, when it deletes an interface (20
// to 40 ms here, for one or for many) and when it deletes elements of nf_tables maps (up to 20 ms).
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

namespace husk::netns {

class Batcher {
 public:
  using Work = std::function<Status(const std::vector<std::string>& items)>;

  // Returns when `work` (that of any of the joined callers; they are the same) was done for `item`.
  Status run(const std::string& item, const Work& work);

 private:
  struct Batch {
    std::vector<std::string> items;
    bool done = false;
    Status result = ok();
  };
  std::mutex mutex_;
  std::condition_variable finished_;
  std::shared_ptr<Batch> waiting_;  // collects items while another batch is under way
  bool is_running_ = false;
};

}  // namespace husk::netns
