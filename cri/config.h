// huskd.toml and the command line, checked: what huskd runs with. Source of meanings: man/huskd.toml.5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cri {

struct Config {
  std::string root = "/var/lib/husk";
  std::string state = "/run/husk";
  std::string listen = "unix:///run/husk/huskd.sock";
  log::Level log_level = log::Level::info;
  log::Form log_form = log::Form::text;
  std::string log_file;
  std::int64_t max_threads = 1024;

  struct Runtime {
    std::string husk;     // "" = beside huskd, as for the two below
    std::string monitor;
    std::string pause;
    std::string cgroup_driver = "cgroupfs";  // or "systemd"
    std::string cgroup_parent = "/husk";
    std::string scope_prefix = "husk";       // systemd: PREFIX-ID.scope
    std::int64_t request_timeout_seconds = 120;
    std::int64_t pids_limit = 0;   // 0 = none
    std::uint64_t shm_bytes = 64U << 20U;
    bool create_missing_mount_sources = true;
    bool unprivileged_ports = true;
    bool unprivileged_ping = true;
    std::string seccomp_profile;   // "" = built in
    std::vector<std::string> capabilities;
    std::vector<oci::Rlimit> rlimits;
  } runtime;

  struct Network {
    std::string bridge = "husk0";
    std::string subnet = "10.88.0.0/16";
    std::string table = "husk";
  } network;

  struct Images {
    std::string registries_conf = "/etc/containers/registries.conf";
    std::string registries_conf_dir = "/etc/containers/registries.conf.d";
    std::vector<std::string> certs_dirs = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
    std::vector<std::string> pinned;
  } images;

  // "/run/husk/huskd.sock" of "unix:///run/husk/huskd.sock".
  std::string socket_path() const { return listen.substr(std::string_view{"unix://"}.size()); }
};

// Errors: invalid, with file name, line and column; an unknown key is an error that lists the known ones.
Result<Config> parse_config(std::string_view text, const std::string& file_name);
// A file that is missing is not_found: the default path may be absent, a named one may not.
Result<Config> read_config(const std::string& path);
// Absolute paths, a unix socket of at most 107 bytes, sane numbers.
Status check_config(const Config& config);
// The whole configuration in effect, as JSON: `Status` with verbose.
std::string config_json(const Config& config);

}  // namespace husk::cri
