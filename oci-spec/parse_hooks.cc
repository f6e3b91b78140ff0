#include "oci-spec/fields.h"
#include "oci-spec/names.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

Result<Hook> read_hook(const JsonReader& json) {
  Hook hook;
  TRY(read_required(json, "path", hook.path));
  TRY(read(json, "args", hook.args));
  TRY(read(json, "env", hook.env));
  TRY(read(json, "timeout", hook.timeout_seconds));
  return hook;
}

}  // namespace

// config.md#configHooks
Result<Hooks> read_hooks(const JsonReader& json) {
  Hooks hooks;
  for (const auto& stage : kHookStages) TRY(read_list(json, stage.name, hooks.*stage.hooks, kMaxHooks, read_hook));
  return hooks;
}

}  // namespace husk::oci
