// JoinedCalls: a request that is repeated while the first one runs waits for it and gets its result.
// Source: kubelet's cri-client, remote_runtime.go (a client's time-out does not stop the work; the retry must not meet
// "name is reserved").
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace husk::cri {

// Where a running job is: shown by `Status` with verbose, and with its times in the debug log.
class Stage {
 public:
  void enter(const char* name);
  std::string name() const;
  std::string summary() const;  // "1 reserve: 90 us, 2 …: 3000 us"

 private:
  struct Entry {
    const char* name;
    std::int64_t entered_ns;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> entries_{{"queued", now_monotonic_ns()}};
};

class JoinedCalls {
 public:
  using Answer = Result<std::string>;

  // Runs `work` unless a call with the same key runs: then waits for that one. A running call with
  // the same key but another fingerprint is Kind::exists.
  Answer run(const std::string& key, const std::string& fingerprint, const std::function<Answer(Stage&)>& work);

  struct Running {
    std::string key;
    std::string stage;
    std::int64_t elapsed_ns;
  };
  std::vector<Running> running() const;

 private:
  struct Job {
    std::string fingerprint;
    Stage stage;
    std::int64_t started_ns = now_monotonic_ns();
    std::promise<Answer> promise;
    std::shared_future<Answer> answer = promise.get_future().share();
  };
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Job>> jobs_;
};

// One lock per name; a name nobody holds costs nothing. Locks of different names never wait.
class KeyedLocks {
 public:
  class Held {
   public:
    Held(KeyedLocks& owner, std::string key);
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held();

   private:
    KeyedLocks& owner_;
    std::string key_;
    std::shared_ptr<std::mutex> lock_;
  };

 private:
  struct Entry {
    std::shared_ptr<std::mutex> lock = std::make_shared<std::mutex>();
    int users = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace husk::cri
