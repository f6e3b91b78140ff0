#include "cri/joined_calls.h"

#include <utility>

#include "base/format.h"
#include "base/log.h"

namespace husk::cri {

void Stage::enter(const char* name) {
  const std::lock_guard lock{mutex_};
  entries_.push_back({name, now_monotonic_ns()});
}

std::string Stage::name() const {
  const std::lock_guard lock{mutex_};
  return entries_.back().name;
}

std::string Stage::summary() const {
  constexpr std::int64_t kNsPerUs = 1000;
  const std::lock_guard lock{mutex_};
  const auto end = now_monotonic_ns();
  std::string text;
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    const auto left = i + 1 < entries_.size() ? entries_[i + 1].entered_ns : end;
    text += format_text("{}{}: {} us", i == 1 ? "" : ", ", entries_[i].name, (left - entries_[i].entered_ns) / kNsPerUs);
  }
  return text;
}

JoinedCalls::Answer JoinedCalls::run(const std::string& key, const std::string& fingerprint,
                                     const std::function<Answer(Stage&)>& work) {
  std::shared_ptr<Job> job;
  {
    std::unique_lock lock{mutex_};
    if (const auto at = jobs_.find(key); at != jobs_.end()) {
      const auto running = at->second;
      lock.unlock();
      if (running->fingerprint != fingerprint)
        return Error{Kind::exists, format_text("{} is being made from another configuration", key)}.hint(
            "wait for that call to end, or use another attempt number");
      return running->answer.get();
    }
    job = std::make_shared<Job>();
    job->fingerprint = fingerprint;
    jobs_.emplace(key, job);
  }
  auto answer = work(job->stage);
  log::debug(format_text("{}: {}", key, job->stage.summary()));
  {
    const std::lock_guard lock{mutex_};
    jobs_.erase(key);  // from here on a new call sees what `work` left in the store
  }
  job->promise.set_value(answer);
  return answer;
}

std::vector<JoinedCalls::Running> JoinedCalls::running() const {
  const std::lock_guard lock{mutex_};
  std::vector<Running> all;
  for (const auto& [key, job] : jobs_)
    all.push_back({.key = key, .stage = job->stage.name(), .elapsed_ns = now_monotonic_ns() - job->started_ns});
  return all;
}

KeyedLocks::Held::Held(KeyedLocks& owner, std::string key) : owner_{owner}, key_{std::move(key)} {
  {
    const std::lock_guard guard{owner_.mutex_};
    auto& entry = owner_.entries_[key_];
    ++entry.users;
    lock_ = entry.lock;
  }
  lock_->lock();
}

KeyedLocks::Held::~Held() {
  lock_->unlock();
  const std::lock_guard guard{owner_.mutex_};
  const auto at = owner_.entries_.find(key_);
  if (--at->second.users == 0) owner_.entries_.erase(at);
}

}  // namespace husk::cri
