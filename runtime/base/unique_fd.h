// UniqueFd owns one file descriptor. Copying does not compile, forgetting closes.
#pragma once

#include <unistd.h>

#include <utility>

namespace husk {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_{fd} {}
  UniqueFd(UniqueFd&& other) noexcept : fd_{other.release()} {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }  // no operator int: close(fd) must not compile
  bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {  // close() frees the fd even on EINTR: never retry
    if (const int old = std::exchange(fd_, fd); old >= 0) (void)::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace husk
