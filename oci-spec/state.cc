#include "oci-spec/state.h"

#include "oci-spec/write_parts.h"

namespace husk::oci {
namespace {

// runtime.md#state: pid is REQUIRED while a process exists; after that the number may belong to
// someone else, so it is left out.
Json head(const State& state) {
  Json json = Json::object();
  json.set("ociVersion", Json{kSpecVersion});
  json.set("id", Json{state.id});
  put(json, "pid", state.pid);
  json.set("status", Json{state.status});
  json.set("bundle", Json{state.bundle});
  return json;
}

}  // namespace

Json state_json(const State& state) {
  Json json = head(state);
  put(json, "rootfs", state.rootfs);
  put(json, "created", state.created);
  put(json, "annotations", state.annotations);
  put(json, "owner", state.owner);
  return json;
}

Json hook_state_json(const State& state) {
  Json json = head(state);
  put(json, "annotations", state.annotations);
  return json;
}

}  // namespace husk::oci
