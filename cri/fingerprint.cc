// Tells a retry of a request from another request with the same name. 128 bits of FNV-1a over all
// fields in a fixed order, each with its length: no secret is kept, and accidents do not collide.
#include <array>

#include "base/text.h"
#include "cri/model.h"

namespace husk::cri {
namespace {

class Digest {
 public:
  Digest& add(std::string_view text) {
    number(text.size());
    for (const char c : text) byte(static_cast<unsigned char>(c));
    return *this;
  }
  Digest& number(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) byte(static_cast<unsigned char>(value >> shift));
    return *this;
  }
  Digest& add(const std::vector<std::string>& items) {
    number(items.size());
    for (const auto& item : items) add(item);
    return *this;
  }
  Digest& add(const StringMap& map) {
    number(map.size());
    for (const auto& [key, value] : map) add(key).add(value);
    return *this;
  }
  Digest& add(const std::vector<std::uint32_t>& items) {
    number(items.size());
    for (const auto item : items) number(item);
    return *this;
  }
  Digest& add(const std::optional<std::uint32_t>& value) { return number(value.has_value() ? 1ULL + *value : 0); }
  Digest& add(const std::optional<SecurityProfile>& profile) {
    if (!profile.has_value()) return number(99);
    return number(static_cast<std::uint64_t>(profile->type)).add(profile->localhost_ref);
  }
  Digest& add(const SelinuxOptions& options) {
    return add(options.user).add(options.role).add(options.type).add(options.level);
  }
  Digest& add(const NamespaceOptions& options) {
    return number(static_cast<std::uint64_t>(options.network))
        .number(static_cast<std::uint64_t>(options.pid))
        .number(static_cast<std::uint64_t>(options.ipc))
        .add(options.target_id);
  }
  Digest& add(const Resources& from) {
    for (const auto value : {from.cpu_period, from.cpu_quota, from.cpu_shares, from.memory_limit,
                             from.memory_swap_limit, from.oom_score_adj})
      number(static_cast<std::uint64_t>(value));
    number(from.hugepage_limits.size());
    for (const auto& item : from.hugepage_limits) add(item.page_size).number(item.limit);
    return add(from.cpuset_cpus).add(from.cpuset_mems).add(from.unified);
  }
  std::string text() const {
    std::array<unsigned char, 16> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) = static_cast<unsigned char>(state_ >> (8 * i));
    return to_hex(bytes.data(), bytes.size());
  }

 private:
  __extension__ using Wide = unsigned __int128;
  // Source: the FNV authors' 128-bit offset basis and prime (RFC 9923).
  static constexpr Wide kBasis = (static_cast<Wide>(0x6c62272e07bb0142ULL) << 64) | 0x62b821756295c58dULL;
  static constexpr Wide kPrime = (static_cast<Wide>(0x0000000001000000ULL) << 64) | 0x13bULL;
  void byte(unsigned char value) { state_ = (state_ ^ value) * kPrime; }
  Wide state_ = kBasis;
};

}  // namespace

std::string fingerprint(const PodConfig& config) {
  Digest digest;
  digest.add(config.metadata.name).add(config.metadata.uid).add(config.metadata.namespace_name);
  digest.number(config.metadata.attempt).add(config.hostname).add(config.log_directory);
  digest.number(config.dns.has_value() ? 1 : 0);
  if (config.dns.has_value()) digest.add(config.dns->servers).add(config.dns->searches).add(config.dns->options);
  digest.number(config.ports.size());
  for (const auto& port : config.ports)
    digest.add(port.protocol).number(port.container_port).number(port.host_port).add(port.host_ip);
  digest.add(config.labels).add(config.annotations).add(config.cgroup_parent).add(config.sysctls);
  digest.add(config.namespaces).add(config.run_as_user).add(config.run_as_group).add(config.supplemental_groups);
  digest.number((config.readonly_rootfs ? 1U : 0U) | (config.privileged ? 2U : 0U));
  digest.add(config.seccomp).add(config.apparmor).add(config.selinux).add(config.runtime_handler);
  return digest.text();
}

std::string fingerprint(const ContainerConfig& config) {
  Digest digest;
  digest.add(config.name).number(config.attempt).add(config.image).add(config.user_specified_image);
  digest.add(config.command).add(config.args).add(config.working_dir).add(config.env);
  digest.number(config.mounts.size());
  for (const auto& mount : config.mounts) {
    digest.add(mount.container_path).add(mount.host_path).add(mount.image).add(mount.image_sub_path);
    digest.number((mount.readonly ? 1U : 0U) | (mount.selinux_relabel ? 2U : 0U) |
                  (mount.recursive_read_only ? 4U : 0U) | (static_cast<unsigned>(mount.propagation) << 3U));
  }
  digest.number(config.devices.size());
  for (const auto& device : config.devices)
    digest.add(device.container_path).add(device.host_path).add(device.permissions);
  digest.add(config.labels).add(config.annotations).add(config.log_path);
  digest.number((config.stdin_open ? 1U : 0U) | (config.stdin_once ? 2U : 0U) | (config.tty ? 4U : 0U) |
                (config.privileged ? 8U : 0U) | (config.readonly_rootfs ? 16U : 0U) |
                (config.no_new_privileges ? 32U : 0U));
  digest.number(static_cast<std::uint64_t>(config.stop_signal)).add(config.resources);
  digest.add(config.capabilities.add).add(config.capabilities.drop).add(config.capabilities.add_ambient);
  digest.add(config.namespaces).add(config.selinux).add(config.run_as_user).add(config.run_as_group);
  digest.add(config.run_as_username).add(config.supplemental_groups);
  digest.number(static_cast<std::uint64_t>(config.groups_policy));
  digest.add(config.masked_paths).add(config.readonly_paths).add(config.seccomp).add(config.apparmor);
  return digest.text();
}

}  // namespace husk::cri
