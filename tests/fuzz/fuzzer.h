// What every fuzzer needs. A fuzzer states a property and aborts when it does not hold; that nothing
// crashes is checked by the sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

// Defines the entry that libFuzzer calls; `text` is its input.
#define HUSK_FUZZ(text)                                                                  \
  static void fuzz_one(std::string_view text);                                           \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {    \
    fuzz_one({reinterpret_cast<const char*>(data), size});                               \
    return 0;                                                                            \
  }                                                                                      \
  static void fuzz_one(std::string_view text)
