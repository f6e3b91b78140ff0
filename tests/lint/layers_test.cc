// Which folder may include which: the table of the top-level README, as data.
#include <algorithm>
#include <array>

#include "harness/harness.h"
#include "lint/source_tree.h"

namespace husk::lint {
namespace {

struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;  // folders or single files, beside the layer itself
};

// The longest folder that holds a file is its layer.
const std::vector<Layer> kLayers{
    {"runtime/base", {}},
    {"oci-spec", {"runtime/base"}},
    {"cgroups", {"runtime/base", "oci-spec"}},
    {"netns", {"runtime/base", "oci-spec"}},
    {"rootfs", {"runtime/base", "oci-spec"}},
    {"images", {"runtime/base", "oci-spec", "rootfs"}},
    {"runtime", {"runtime/base", "oci-spec", "cgroups", "rootfs", "runtime/criu/request.h"}},
    {"runtime/criu", {"runtime/base", "oci-spec", "runtime/restored_label.h"}},
    {"runtime/monitor", {"runtime/base", "oci-spec"}},
    {"runtime/pause", {}},
    {"cri", {"runtime/base", "oci-spec", "images", "netns", "cgroups", "runtime/monitor/protocol.h"}},
    {"cri/client", {"runtime/base", "oci-spec"}},
};

// Sub-modules: nobody outside the parent folder includes them.
constexpr std::array<std::string_view, 2> kPrivate{"netns/netlink", "images/registry"};
constexpr std::array<std::string_view, 2> kPrivateParent{"netns", "images"};

struct ThirdParty {
  std::string_view include;                // beginning of the name
  std::vector<std::string_view> allowed;   // folders or files
};
const std::vector<ThirdParty> kThirdParty{
    {"nlohmann/", {"oci-spec/json.cc"}},
    {"fmt/", {"runtime/base/format.h", "runtime/base/format.cc"}},
    {"cxxopts", {"runtime/cli", "images/cli", "cri/main.cc", "cri/client", "runtime/monitor/main.cc"}},
    {"seccomp.h", {"runtime/seccomp/make_calls.cc"}},
    {"grpc", {"cri"}},
    {"google/protobuf", {"cri"}},
    {"toml++", {"cri", "images"}},
    {"sqlite3", {"images"}},
    {"curl/", {"images"}},
    {"openssl/", {"images", "cri"}},
    {"libmnl/", {"netns"}},
    {"systemd/", {"cgroups", "runtime/monitor"}},
    {"doctest/", {"tests/harness"}},
    // husk and husk-monitor have one thread each; overlay.cc's short-lived one is for images.
    {"thread", {"images", "cri", "netns", "rootfs/overlay.cc"}},
    {"mutex", {"images", "cri", "netns"}},
    {"future", {"images", "cri"}},
    {"iostream", {}},  // its static constructors and locale cost every start
};

const Layer* layer_of(std::string_view path) {
  const Layer* best = nullptr;
  for (const auto& layer : kLayers)
    if (is_below(path, layer.folder) && (best == nullptr || layer.folder.size() > best->folder.size())) best = &layer;
  return best;
}

bool may_include(const Layer& from, std::string_view target) {
  if (layer_of(target) == &from) return true;
  const auto listed = [&](std::string_view item) {
    // A listed folder does not open the layers inside it: "runtime" is not "runtime/monitor".
    return target == item || (layer_of(target) != nullptr && layer_of(target)->folder == item);
  };
  return std::ranges::any_of(from.may_include, listed);
}

bool is_private(std::string_view from, std::string_view target) {
  for (std::size_t i = 0; i < kPrivate.size(); ++i)
    if (is_below(target, kPrivate[i]) && !is_below(from, kPrivateParent[i])) return true;
  return false;
}

void check_file(const SourceFile& file, std::vector<std::string>& violations) {
  const auto* from = layer_of(file.path);
  if (from == nullptr) return;
  for (const auto& include : includes_of(file.text)) {
    const auto target = include.quoted ? resolve(file.path, include.name) : std::string{};
    if (target.empty() || target == file.path) continue;
    if (!may_include(*from, target))
      violations.push_back(format_text("{}:{}: {} may not include {}", file.path, include.line, from->folder, target));
    else if (is_private(file.path, target))
      violations.push_back(format_text("{}:{}: {} is private to its parent folder", file.path, include.line, target));
  }
}

TEST_CASE("includes go downwards only: base, oci-spec, then cgroups, netns, rootfs, then images and runtime, then cri") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) check_file(*file, violations);
  report(violations);
}

TEST_CASE("quoted includes name files of ours, or what cri generates") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    for (const auto& include : includes_of(file->text)) {
      const bool generated = include.name == "cri.pb.h" || include.name == "cri.grpc.pb.h";
      if (!include.quoted || (generated && (is_below(file->path, "cri") || is_below(file->path, "tests")))) continue;
      if (include.name == "rpc.pb.h" && is_below(file->path, "runtime/criu")) continue;
      if (resolve(file->path, include.name).empty())
        violations.push_back(format_text("{}:{}: there is no {}", file->path, include.line, include.name));
    }
  }
  report(violations);
}

TEST_CASE("a library is included where it belongs and nowhere else") {
  std::vector<std::string> violations;
  for (const auto* file : files({".cc", ".h"})) {
    for (const auto& include : includes_of(file->text)) {
      for (const auto& row : kThirdParty) {
        const bool exact = row.include == "thread" || row.include == "mutex" || row.include == "future" || row.include == "iostream";
        if (include.quoted || !(exact ? include.name == row.include : include.name.starts_with(row.include))) continue;
        const auto allowed = [&](std::string_view place) { return is_below(file->path, place); };
        if (is_below(file->path, "tests") && row.include != "fmt/") continue;
        if (std::ranges::none_of(row.allowed, allowed))
          violations.push_back(format_text("{}:{}: <{}> does not belong here", file->path, include.line, include.name));
      }
    }
  }
  report(violations);
}

TEST_CASE("the rule itself: what may include what") {
  const auto may = [](std::string_view from, std::string_view target) { return may_include(*layer_of(from), target); };
  CHECK(may("oci-spec/json.cc", "runtime/base/result.h"));
  CHECK_FALSE(may("runtime/base/sys.cc", "oci-spec/json.h"));
  CHECK_FALSE(may("rootfs/overlay.cc", "cgroups/cgroup.h"));
  CHECK(may("runtime/cli/create.cc", "runtime/plan.h"));
  CHECK_FALSE(may("runtime/plan.cc", "netns/netns.h"));
  CHECK_FALSE(may("runtime/plan.cc", "runtime/monitor/monitor.h"));
  CHECK_FALSE(may("runtime/monitor/main.cc", "runtime/store.h"));
  CHECK_FALSE(may("runtime/pause/pause.cc", "runtime/base/sys.h"));
  CHECK(may("cri/pod.cc", "runtime/monitor/protocol.h"));
  CHECK_FALSE(may("cri/pod.cc", "runtime/monitor/monitor.h"));
  CHECK_FALSE(may("cri/client/main.cc", "cri/config.h"));
  CHECK(is_private("cri/x.cc", "images/registry/client.h"));
  CHECK_FALSE(is_private("images/pull.cc", "images/registry/client.h"));
}

}  // namespace
}  // namespace husk::lint
