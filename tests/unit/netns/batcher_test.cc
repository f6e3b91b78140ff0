#include "netns/batcher.h"

#include <algorithm>
#include <future>
#include <set>
#include <thread>

#include "harness/harness.h"

namespace husk::netns {

TEST_CASE("what comes while the first is at work is done together, once, and each caller gets the result") {
  Batcher batcher;
  std::promise<void> started;
  std::promise<void> go_on;
  std::vector<std::vector<std::string>> runs;  // only one caller works at a time: no lock needed
  const auto work = [&](const std::vector<std::string>& items) -> Status {
    runs.push_back(items);
    if (runs.size() == 1) {
      started.set_value();
      go_on.get_future().wait();
      return ok();
    }
    return Error{Kind::internal, "second"};
  };
  std::thread first{[&] { CHECK_OK(batcher.run("a", work)); }};
  started.get_future().wait();
  std::vector<std::thread> others;
  std::atomic<int> failures = 0;
  for (const auto* item : {"b", "c", "d"})
    others.emplace_back([&, item] { failures += batcher.run(item, work).has_value() ? 0 : 1; });
  go_on.set_value();
  first.join();
  for (auto& other : others) other.join();
  // "b", "c" and "d" may have come before or after the first was done: at least no item twice, none lost.
  std::multiset<std::string> done;
  for (const auto& run : runs) done.insert(run.begin(), run.end());
  CHECK(done == std::multiset<std::string>{"a", "b", "c", "d"});
  CHECK(runs.front() == std::vector<std::string>{"a"});
  CHECK(failures == 3);
}

TEST_CASE("one caller after the other is one run each") {
  Batcher batcher;
  int runs = 0;
  const auto work = [&](const std::vector<std::string>& items) {
    ++runs;
    CHECK(items.size() == 1);
    return ok();
  };
  CHECK_OK(batcher.run("a", work));
  CHECK_OK(batcher.run("b", work));
  CHECK(runs == 2);
}

}  // namespace husk::netns
