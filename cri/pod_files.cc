#include "cri/pod_files.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr std::size_t kMaxCopied = 1U << 20U;

std::string copy_of(const char* path) {
  auto text = read_file(path, kMaxCopied);
  return text.has_value() ? std::move(text).value() : std::string{};
}

Status check_words(const char* what, const std::vector<std::string>& words) {
  for (const auto& word : words) {
    const bool plain = !word.empty() && word.size() <= 255 &&
                       std::ranges::all_of(word, [](char c) { return c > ' ' && c != 0x7f; });
    if (!plain) return Error{Kind::invalid, format_text("dns_config.{}: {} is not one word", what, quote(word))};
  }
  return ok();
}

}  // namespace

PodPaths pod_paths(const std::string& state, const std::string& pod_id) {
  const auto directory = state + "/pods/" + pod_id;
  return {.directory = directory,
          .bundles = directory + "/bundles",
          .shm = directory + "/shm",
          .hosts = directory + "/hosts",
          .hostname = directory + "/hostname",
          .resolv_conf = directory + "/resolv.conf",
          .netns = state + "/netns/" + pod_id,
          .cgroup_note = directory + "/cgroup"};
}

std::string hosts_text(const std::string& hostname, const std::vector<std::string>& addresses) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const auto& address : addresses) text += address + "\t" + hostname + "\n";
  return text;
}

Result<std::string> resolv_conf_text(const DnsConfig& dns) {
  TRY(check_words("servers", dns.servers));
  TRY(check_words("searches", dns.searches));
  TRY(check_words("options", dns.options));
  std::string text;
  if (!dns.searches.empty()) text += "search " + join(dns.searches, " ") + "\n";
  for (const auto& server : dns.servers) text += "nameserver " + server + "\n";
  if (!dns.options.empty()) text += "options " + join(dns.options, " ") + "\n";
  return text;
}

Status write_pod_files(const PodPaths& paths, const PodConfig& config, const std::string& hostname,
                       const std::vector<std::string>& addresses) {
  const bool host_network = config.namespaces.network == NamespaceMode::node;
  std::string resolv_conf;
  if (config.dns.has_value()) resolv_conf = TRY(resolv_conf_text(*config.dns));
  if (resolv_conf.empty()) resolv_conf = copy_of("/etc/resolv.conf");
  auto hosts = host_network ? copy_of("/etc/hosts") : std::string{};
  if (hosts.empty()) hosts = hosts_text(hostname, addresses);
  // Bind mounts of files: replaced atomically they would leave containers with the old one, so each is
  // written once.
  TRY(write_atomically(AT_FDCWD, paths.hosts, hosts));
  TRY(write_atomically(AT_FDCWD, paths.hostname, hostname + "\n"));
  return write_atomically(AT_FDCWD, paths.resolv_conf, resolv_conf);
}

PodFiles files_of(const PodPaths& paths, const PodRecord& pod) {
  return {.hosts = paths.hosts,
          .hostname = paths.hostname,
          .resolv_conf = paths.resolv_conf,
          .shm = pod.namespaces.ipc == NamespaceMode::node ? "/dev/shm" : paths.shm};
}

}  // namespace husk::cri
