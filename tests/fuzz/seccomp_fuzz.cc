// A seccomp profile ends in a program that the kernel would accept, or in one error.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_config.h"
#include "seccomp/compile.h"
#include "unit/runtime/seccomp_machine.h"

HUSK_FUZZ(text) {
  const auto spec = husk::oci::parse_config(R"({"ociVersion":"1.0.0","root":{"path":"/"},"linux":{"seccomp":)" + std::string{text} + "}}");
  if (!spec.has_value() || !spec.value().linux.seccomp.has_value()) return;
  const auto filter = husk::runtime::compile_seccomp(*spec.value().linux.seccomp);
  if (!filter.has_value()) {
    husk::require(!filter.error().what().empty(), "an error without words");
    return;
  }
  const auto flaw = husk::test::flaw_in(filter.value().program);
  husk::require(flaw.empty(), "the kernel would refuse the filter");
  // Each call ends in an answer of the profile's, on the architectures that it may name.
  for (const std::uint32_t token : {0xc000003eU, 0x40000003U, 0U})
    for (const int number : {0, 41, 102, 117, 359, 0x40000001, -1})
      (void)husk::test::run_filter(filter.value().program, {.nr = number, .arch = token, .instruction_pointer = 0, .args = {1, ~0ULL, 0, 0, 0, 0}});
}
