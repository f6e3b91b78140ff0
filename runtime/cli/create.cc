#include <array>

#include "base/file.h"
#include "cli/create_options.h"
#include "container.h"
#include "oci-spec/parse_config.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kBundleOption,      kConfigOption,    kConsoleSocketOption, kPidfdSocketOption, kPidFileOption,
                              kNoPivotOption,     kNoKeyringOption, kPreserveFdsOption,   kNoSubreaperOption,
                              Option{0, "print-plan", "", "print what would be done, and do nothing"}, kHelpOption};

Status print_plan(const runtime::CreateOptions& options) {
  const auto path = options.config_path.empty() ? options.bundle + "/config.json" : options.config_path;
  const auto text = TRY(read_file(path, oci::JsonLimits{}.max_bytes).during("read configuration"));
  const auto spec = TRY(oci::parse_config(text).during("config.json"));
  const auto plan = TRY(runtime::make_container_plan(spec, options));
  return print(runtime::plan_text(plan));
}

Result<int> run_create(const Globals& globals, const Parsed& parsed) {
  const auto options = TRY(make_create_options(globals, parsed));
  if (parsed.has("print-plan")) {
    TRY(print_plan(options));
    return 0;
  }
  const runtime::StateStore store{globals.root};
  TRY(runtime::create_container(store, options, runtime::StartThrough::socket));
  return 0;
}

}  // namespace

const Verb kCreateVerb{.name = "create",
                       .arguments = "ID",
                       .summary = "make a container; its program waits for start",
                       .options = kOptions,
                       .run = run_create,
                       .keeps_descriptors = true};

}  // namespace husk::cli
