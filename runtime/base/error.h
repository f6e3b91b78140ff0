// Error: what failed (chain of steps, call with arguments), why (errno) and what to do (hint).
// Read `Error::to_string` first: its text is what people see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace husk {

// What a caller may branch on. cri/to_grpc.cc maps each to a gRPC status code.
enum class Kind : std::uint8_t {
  invalid,      // the input is wrong: fix it and try again
  not_found,
  exists,
  wrong_state,  // the object is in a state that does not allow this
  denied,       // permission
  unsupported,  // this kernel or this version cannot do it
  busy,         // try again later
  unavailable,  // a peer (registry, daemon, network) did not answer
  cancelled,
  timed_out,
  exhausted,    // disk, memory, descriptors, a quota
  internal,
};

std::string_view kind_name(Kind kind);
Kind kind_of_errno(int err);

class [[nodiscard]] Error {
 public:
  // `what`: the call with its arguments, or a sentence in lower case. `err`: errno of it, 0 = none.
  Error(Kind kind, std::string what, int err = 0);

  Error during(std::string_view step) &&;  // puts "step: " in front
  Error hint(std::string text) &&;         // the first hint (nearest the cause) wins
  Error as(Kind kind) &&;                  // changes only the kind

  Kind kind() const { return kind_; }
  int os_errno() const { return err_; }
  const std::string& what() const { return what_; }
  const std::string& hint_text() const { return hint_; }
  // "steps: call(args): strerror (hint: …)"
  std::string to_string() const;

 private:
  Kind kind_;
  int err_;
  std::string what_;
  std::string hint_;
};

}  // namespace husk
