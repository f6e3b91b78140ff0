#include "seccomp_cache.h"

#include <sys/stat.h>

#include <cstring>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::runtime;
using test::TempDir;

namespace {

oci::Seccomp profile_of(std::string name, std::uint32_t errno_ret = 1) {
  return {.default_action = "SCMP_ACT_ERRNO",
          .default_errno_ret = errno_ret,
          .architectures = {"SCMP_ARCH_X86_64"},
          .flags = {},
          .listener_path = {},
          .listener_metadata = {},
          .syscalls = {{.names = {std::move(name)}, .action = "SCMP_ACT_ALLOW", .errno_ret = {}, .args = {}}}};
}

bool same(const SeccompFilter& a, const SeccompFilter& b) {
  return encode_filter("", a) == encode_filter("", b);
}

// The one entry of `directory`, and the key that stands in it.
struct Entry {
  std::string path;
  std::string key;
};
Entry only_entry(const std::string& directory) {
  const auto opened = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(opened);
  const auto names = sys::list_dir(opened.value().get());
  REQUIRE_OK(names);
  REQUIRE(names.value().size() == 1);
  Entry entry{.path = directory + "/" + names.value().front().name, .key = {}};
  const auto text = read_file(entry.path);
  REQUIRE_OK(text);
  std::uint32_t size = 0;  // at offset 16 of the header, which has 32 bytes
  std::memcpy(&size, text.value().data() + 16, sizeof size);
  entry.key = text.value().substr(32, size);
  REQUIRE(names.value().front().name == seccomp_entry_name(entry.key));
  return entry;
}

}  // namespace

TEST_CASE("a kept filter is read, not compiled again") {
  const TempDir temp;
  const auto directory = temp.path() + "/filters";
  const SeccompCache cache{directory};
  const auto profile = profile_of("read");
  REQUIRE_OK(cache.get(profile));
  // Another program under the same key shows where the next answer comes from.
  const SeccompFilter marked{.program = {{.code = 6, .jt = 0, .jf = 0, .k = 42}}, .flags = 2};
  const auto entry = only_entry(directory);
  REQUIRE_OK(write_atomically(AT_FDCWD, entry.path, encode_filter(entry.key, marked), 0600));
  const auto again = cache.get(profile);
  REQUIRE_OK(again);
  CHECK(same(again.value(), marked));
}

TEST_CASE("whatever stands in the way of a kept filter, the compiled one is the answer and takes its place") {
  const TempDir temp;
  const auto directory = temp.path() + "/filters";
  const SeccompCache cache{directory};
  const auto profile = profile_of("read");
  const auto compiled = compile_seccomp(profile).value();
  REQUIRE_OK(cache.get(profile));
  const auto path = only_entry(directory).path;
  const auto good = read_file(path).value();
  auto flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const auto other = encode_filter(seccomp_key(profile_of("write")), compile_seccomp(profile_of("write")).value());
  for (const auto& bad : {std::string{}, good.substr(0, good.size() - 8), good + "12345678", flipped, other, std::string(64, 'x')}) {
    CAPTURE(bad.size());
    REQUIRE_OK(write_atomically(AT_FDCWD, path, bad, 0600));
    const auto got = cache.get(profile);
    REQUIRE_OK(got);
    CHECK(same(got.value(), compiled));
    CHECK(read_file(path).value() == good);
  }
}

TEST_CASE("an entry that others can write, a link and a directory are no entries") {
  const TempDir temp;
  const auto directory = temp.path() + "/filters";
  const SeccompCache cache{directory};
  const auto profile = profile_of("read");
  const auto compiled = compile_seccomp(profile).value();
  REQUIRE_OK(cache.get(profile));
  const auto [path, key] = only_entry(directory);
  const auto marked = encode_filter(key, {.program = {{.code = 6, .jt = 0, .jf = 0, .k = 42}}, .flags = 0});
  REQUIRE_OK(write_atomically(AT_FDCWD, path, marked, 0600));
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, path, 0666));
  CHECK(same(cache.get(profile).value(), compiled));
  REQUIRE_OK(write_atomically(AT_FDCWD, temp.path() + "/elsewhere", marked, 0600));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, path));
  REQUIRE_OK(sys::symlinkat("../elsewhere", AT_FDCWD, path));
  CHECK(same(cache.get(profile).value(), compiled));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, path));
  REQUIRE_OK(sys::mkdirat(AT_FDCWD, path, 0700));
  CHECK(same(cache.get(profile).value(), compiled));
}

TEST_CASE("every part of a profile is part of its key; lists cannot run into each other") {
  const auto base = profile_of("read");
  std::vector<oci::Seccomp> all(9, base);
  all[1].default_action = "SCMP_ACT_LOG";
  all[2].default_errno_ret.reset();
  all[3].architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
  all[4].flags = {"SECCOMP_FILTER_FLAG_LOG"};
  all[5].syscalls[0].names = {"re", "ad"};
  all[6].syscalls[0].errno_ret = 1;
  all[7].syscalls[0].args = {{.index = 0, .value = 1, .value_two = 0, .op = "SCMP_CMP_EQ"}};
  all[8].listener_path = "/x";
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      CAPTURE(i);
      CAPTURE(j);
      CHECK(seccomp_key(all[i]) != seccomp_key(all[j]));
    }
}

TEST_CASE("the number of kept filters is bounded; a cache that cannot be written is no error") {
  const TempDir temp;
  const auto directory = temp.path() + "/filters";
  const SeccompCache cache{directory};
  for (std::uint32_t i = 0; i < 70; ++i) REQUIRE_OK(cache.get(profile_of("read", i)));
  const auto opened = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(opened);
  CHECK(sys::list_dir(opened.value().get()).value().size() == 64);
  REQUIRE_OK(write_atomically(AT_FDCWD, temp.path() + "/file", "", 0600));
  CHECK_OK(SeccompCache{temp.path() + "/file/below"}.get(profile_of("read")));
}

TEST_CASE("a profile that is refused is refused each time, and not kept") {
  const TempDir temp;
  const SeccompCache cache{temp.path() + "/filters"};
  for (int i = 0; i < 2; ++i) CHECK(cache.get({.default_action = "SCMP_ACT_SING"}).error().kind() == Kind::invalid);
  CHECK(!path_exists(temp.path() + "/filters"));
}
