#include "annotations.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/systemd/annotations.h"
#include "criu_call.h"
#include "oci-spec/parse_config.h"

namespace husk::runtime {
namespace {

struct Refused {
  std::string_view key;
  std::string_view remedy;
};
constexpr std::array kRefused{
    Refused{"run.oci.handler", "run the container with a runtime that has the handler"},
    Refused{"run.oci.seccomp_bpf_data", "write the profile to linux.seccomp: without a filter the container would have more rights"},
    Refused{"run.oci.seccomp.plugins", "name the agent's socket in linux.seccomp.listenerPath"}};

// They reach files, sockets and groups of the host, or change what confines the container.
constexpr std::array kUnsafe{cgroups::systemd::kPropertyPrefix, oci::kSeccompReceiver, kPidfdReceiver,
                             kKeepGroups, kMountContextType, kHooksStdout, kHooksStderr};

constexpr std::array<std::string_view, 4> kContexts{"context", "fscontext", "defcontext", "rootcontext"};

Status check_path(const oci::StringMap& annotations, std::string_view key) {
  const auto* value = find_annotation(annotations, key);
  if (value == nullptr || value->starts_with('/')) return ok();
  return Error{Kind::invalid, format_text("annotation {}: {} must be an absolute path", key, quote(*value))};
}

}  // namespace

const std::string* find_annotation(const oci::StringMap& annotations, std::string_view key) {
  const auto found = std::ranges::find(annotations, key, [](const auto& item) -> std::string_view { return item.first; });
  return found == annotations.end() ? nullptr : &found->second;
}

Status check_annotations(const oci::StringMap& annotations) {
  for (const auto& row : kRefused)
    if (find_annotation(annotations, row.key) != nullptr)
      return Error{Kind::unsupported, format_text("annotation {} is not supported", row.key)}.hint(std::string{row.remedy});
  for (const auto key : {kPidfdReceiver, kHooksStdout, kHooksStderr}) TRY(check_path(annotations, key));
  const auto* context = find_annotation(annotations, kMountContextType);
  if (context == nullptr || std::ranges::find(kContexts, *context) != kContexts.end()) return ok();
  return Error{Kind::invalid, format_text("annotation {}: unknown value {}", kMountContextType, quote(*context))}.hint(
      "use context, fscontext, defcontext or rootcontext");
}

std::vector<std::string> unsafe_annotations() {
  std::vector<std::string> keys{std::string{kCriuConfigAnnotation}};
  for (const auto key : kUnsafe) keys.emplace_back(key);
  return keys;
}

}  // namespace husk::runtime
