#include "seccomp_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"

namespace husk::runtime {
namespace {

constexpr std::size_t kMostEntries = 64;
constexpr std::size_t kMostBytes = 4U << 20U;
constexpr std::uint64_t kMagic = 0x31706d6363657368;  // "hseccmp1"

struct Header {
  std::uint64_t magic = kMagic;
  std::uint64_t checksum = 0;  // of key and program
  std::uint32_t key_bytes = 0;
  std::uint32_t instructions = 0;
  std::uint32_t flags = 0;
  std::uint32_t zero = 0;
};

// Like FNV-1a, by words of eight bytes: finds accidents, and names files; what must not be mixed up is compared whole.
std::uint64_t hash_of(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325U) {
  const auto add = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0x100000001b3U;
    hash ^= hash >> 32U;  // the lower bits of a product do not depend on the upper ones of its factors
  };
  add(text.size());
  std::uint64_t word = 0;
  for (; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
    std::memcpy(&word, text.data(), sizeof word);
    add(word);
  }
  word = 0;
  std::memcpy(&word, text.data(), text.size());
  add(word);
  return hash;
}

std::string_view bytes_of(const std::vector<sock_filter>& program) {
  return {reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)};
}

void add_text(std::string& key, std::string_view text) {
  key.append(std::to_string(text.size())).append(1, ':').append(text);  // no two lists give the same bytes
}
void add_number(std::string& key, std::uint64_t number) { key.append(std::to_string(number)).append(1, ';'); }
void add_optional(std::string& key, const std::optional<std::uint32_t>& number) {
  if (number.has_value()) return add_number(key, *number);
  key.append(1, '-');
}
void add_list(std::string& key, const std::vector<std::string>& items) {
  add_number(key, items.size());
  for (const auto& item : items) add_text(key, item);
}

void add_rule(std::string& key, const oci::SeccompRule& rule) {
  add_list(key, rule.names);
  add_text(key, rule.action);
  add_optional(key, rule.errno_ret);
  add_number(key, rule.args.size());
  for (const auto& arg : rule.args) {
    add_number(key, arg.index);
    add_number(key, arg.value);
    add_number(key, arg.value_two);
    add_text(key, arg.op);
  }
}

// Another build of husk of the same version may compile otherwise.
std::string own_build() {
  const auto own = sys::fstatat(AT_FDCWD, "/proc/self/exe", 0);
  if (!own.has_value()) return "";
  const auto& time = own.value().st_mtim;
  return format_text("{} {}.{:09}", own.value().st_size, time.tv_sec, time.tv_nsec);
}

// Only a plain file that nobody else can write.
std::optional<std::string> read_entry(const std::string& path) {
  const auto file = sys::openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.has_value()) return std::nullopt;
  const auto info = sys::fstat(file.value().get());
  if (!info.has_value() || !S_ISREG(info.value().st_mode)) return std::nullopt;
  if (info.value().st_uid != ::geteuid() || (info.value().st_mode & 0022U) != 0) return std::nullopt;
  auto text = read_all(file.value().get(), kMostBytes);
  if (!text.has_value()) return std::nullopt;
  return std::move(text).value();
}

struct Aged {
  std::string name;
  std::int64_t modified_ns = 0;
};

// Makes room for one more: the oldest go.
Status make_room(int directory) {
  std::vector<Aged> entries;
  for (auto& entry : TRY(sys::list_dir(directory))) {
    const auto info = sys::fstatat(directory, entry.name, AT_SYMLINK_NOFOLLOW);
    if (!info.has_value()) continue;  // gone meanwhile
    const auto& time = info.value().st_mtim;
    entries.push_back({.name = std::move(entry.name), .modified_ns = time.tv_sec * 1'000'000'000 + time.tv_nsec});
  }
  if (entries.size() < kMostEntries) return ok();
  std::sort(entries.begin(), entries.end(), [](const Aged& a, const Aged& b) { return a.modified_ns < b.modified_ns; });
  for (std::size_t i = 0; i + kMostEntries <= entries.size(); ++i) (void)sys::unlinkat(directory, entries[i].name);
  return ok();
}

Status keep(const std::string& path, const std::string& name, std::string_view entry) {
  TRY(make_directories(path, 0700));
  const auto directory = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(make_room(directory.get()));
  return write_atomically(directory.get(), name, entry, 0600);
}

}  // namespace

std::string seccomp_key(const oci::Seccomp& profile) {
  std::string key;
  key.reserve(16U << 10U);
  add_text(key, HUSK_VERSION);
  add_text(key, seccomp_library());
  add_text(key, profile.default_action);
  add_optional(key, profile.default_errno_ret);
  add_list(key, profile.architectures);
  add_list(key, profile.flags);
  add_text(key, profile.listener_path);
  add_text(key, profile.listener_metadata);
  add_number(key, profile.syscalls.size());
  for (const auto& rule : profile.syscalls) add_rule(key, rule);
  return key;
}

std::string seccomp_entry_name(std::string_view key) { return format_text("{:016x}", hash_of(key)); }

std::string encode_filter(std::string_view key, const SeccompFilter& filter) {
  const auto program = bytes_of(filter.program);
  Header header;
  header.checksum = hash_of(program, hash_of(key));
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  header.instructions = static_cast<std::uint32_t>(filter.program.size());
  header.flags = filter.flags;
  std::string entry{reinterpret_cast<const char*>(&header), sizeof header};
  return entry.append(key).append(program);
}

std::optional<SeccompFilter> decode_filter(std::string_view key, std::string_view entry) {
  Header header;
  if (entry.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, entry.data(), sizeof header);
  entry.remove_prefix(sizeof header);
  if (header.magic != kMagic || header.key_bytes != key.size() || header.instructions > BPF_MAXINSNS) return std::nullopt;
  if (entry.size() != key.size() + header.instructions * sizeof(sock_filter) || !entry.starts_with(key)) return std::nullopt;
  if (hash_of(entry.substr(key.size()), hash_of(key)) != header.checksum) return std::nullopt;
  SeccompFilter filter;
  filter.flags = header.flags;
  filter.program.resize(header.instructions);
  std::memcpy(filter.program.data(), entry.data() + key.size(), header.instructions * sizeof(sock_filter));
  return filter;
}

Result<SeccompFilter> SeccompCache::get(const oci::Seccomp& profile) const {
  const auto key = seccomp_key(profile) + own_build();
  const auto name = seccomp_entry_name(key);
  if (const auto entry = read_entry(format_text("{}/{}", directory_, name)); entry.has_value())
    if (auto kept = decode_filter(key, *entry); kept.has_value()) return std::move(*kept);
  auto filter = TRY(compile_seccomp(profile));
  const auto done = keep(directory_, name, encode_filter(key, filter));
  if (!done.has_value()) log::debug(format_text("the compiled filter is not kept: {}", done.error().to_string()));
  return filter;
}

}  // namespace husk::runtime
