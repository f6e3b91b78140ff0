// Result<T>: a value or an Error. Status: success or an Error. TRY(expr): value, or return the error.
// One TRY per statement, as the whole right-hand side (style 5.1).
#pragma once

#include <expected>
#include <string_view>
#include <utility>
#include <variant>

#include "base/error.h"

namespace husk {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_{std::in_place, std::move(value)} {}                // NOLINT: by design
  Result(Error error) : state_{std::unexpect, std::move(error)} {}           // NOLINT: by design
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> && !std::is_same_v<std::remove_cvref_t<U>, T>)
  Result(U&& value) : state_{std::in_place, std::forward<U>(value)} {}       // NOLINT: by design

  bool has_value() const { return state_.has_value(); }
  T& value() & { return state_.value(); }
  const T& value() const& { return state_.value(); }
  T&& value() && { return std::move(state_).value(); }
  Error& error() & { return state_.error(); }
  const Error& error() const& { return state_.error(); }
  Error&& error() && { return std::move(state_).error(); }

  // Puts "step: " in front of the error, when there is one.
  Result during(std::string_view step) && {
    if (!has_value()) return std::move(state_.error()).during(step);
    return std::move(*this);
  }
  Result hint(std::string text) && {
    if (!has_value()) return std::move(state_.error()).hint(std::move(text));
    return std::move(*this);
  }

 private:
  std::expected<T, Error> state_;
};

using Status = Result<std::monostate>;
inline Status ok() { return std::monostate{}; }

// Programming errors: checked in release builds too; prints the text and aborts.
void require(bool condition, const char* text);

}  // namespace husk

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): a GNU statement expression needs a macro
#define TRY(expr)                                                         \
  __extension__({                                                         \
    auto try_result_ = (expr);                                            \
    if (!try_result_.has_value()) return std::move(try_result_).error();  \
    std::move(try_result_).value();                                       \
  })
