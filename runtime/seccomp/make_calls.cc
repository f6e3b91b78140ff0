// Run by the build: writes the table of calls.h as a source file, from libseccomp's tables.
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <string>

#include "seccomp/calls.h"

namespace {

using husk::runtime::kArchitectures;

constexpr int kMostCalls = 1024;  // no architecture numbers further than this from its first call

std::map<std::string, husk::runtime::Call> read_tables() {
  std::map<std::string, husk::runtime::Call> calls;
  for (std::size_t i = 0; i < kArchitectures.size(); ++i) {
    const auto& architecture = kArchitectures[i];
    // x32 shares the kernel's token with x86_64; libseccomp has one of its own.
    const std::uint32_t token = is_x32(architecture) ? SCMP_ARCH_X32 : architecture.token;
    for (int number = 0; number < kMostCalls; ++number) {
      char* name = ::seccomp_syscall_resolve_num_arch(token, static_cast<int>(architecture.first_call) + number);
      if (name == nullptr) continue;
      auto [row, added] = calls.try_emplace(name);
      if (added) row->second.numbers.fill(husk::runtime::kNoCall);
      row->second.numbers[i] = static_cast<std::int16_t>(number);
      ::free(name);
    }
  }
  // Names that exist as an argument of socketcall and ipc alone.
  for (const auto* name : {"accept", "recv", "send", "semop", "semtimedop"})
    if (auto [row, added] = calls.try_emplace(name); added) row->second.numbers.fill(husk::runtime::kNoCall);
  return calls;
}

void write_table(const std::map<std::string, husk::runtime::Call>& calls) {
  ::puts("// Made by runtime/seccomp/make_calls.cc.\n#include \"seccomp/calls.h\"\nnamespace husk::runtime {\nnamespace {\nconstexpr char kNames[] =");
  for (const auto& [name, call] : calls) ::printf("\"%s\"\n", name.c_str());
  ::puts(";\nconstexpr std::uint16_t kEnds[] = {");
  std::size_t end = 0;
  for (const auto& [name, call] : calls) ::printf("%zu,\n", end += name.size());
  ::puts("};\nconstexpr Call kCalls[] = {");
  for (const auto& [name, call] : calls) {
    ::printf("{{");
    for (const auto number : call.numbers) ::printf("%d,", number);
    ::puts("}},");
  }
  const auto* version = ::seccomp_version();
  ::printf("};\n}\nextern const CallTable kCallTable{kNames, kEnds, kCalls, %zu, \"%u.%u.%u\"};\n}\n", calls.size(), version->major,
           version->minor, version->micro);
}

}  // namespace

int main() {
  const auto calls = read_tables();
  if (calls.size() < 300) return 1;  // not the library we know
  write_table(calls);
  return 0;
}
