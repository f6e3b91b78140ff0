// How the cost of something grows with its input. No absolute times: a slow machine only stretches both sides.
#pragma once

#include <algorithm>
#include <ctime>

namespace husk::test {

// Processor time of this thread for work(size), the least of three runs.
template <class Work>
double cost_of(const Work& work, int size) {
  double least = 1e9;
  for (int run = 0; run < 3; ++run) {
    timespec before{};
    timespec after{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    work(size);
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    least = std::min(least, static_cast<double>(after.tv_sec - before.tv_sec) + static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e9);
  }
  return least;
}

// Sixteen times the input: 16 is linear, 256 is the square.
template <class Work>
double growth_of(const Work& work) {
  constexpr int kSmall = 2048;
  return cost_of(work, 16 * kSmall) / cost_of(work, kSmall);
}

constexpr double kNotTheSquare = 80;

}  // namespace husk::test
