// Private to oci-spec: the parsers of config.json's parts. Each gets a reader of an object.
#pragma once

#include "base/result.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

Result<Process> read_process(const JsonReader& json);      // parse_process.cc
Result<Mount> read_mount(const JsonReader& json);          // parse_mounts.cc
Result<IdMapping> read_id_mapping(const JsonReader& json);
Result<Hooks> read_hooks(const JsonReader& json);          // parse_hooks.cc
Result<Linux> read_linux(const JsonReader& json);          // parse_linux.cc
Result<Seccomp> read_seccomp(const JsonReader& json);      // parse_seccomp.cc
Result<Resources> read_resources(const JsonReader& json);  // parse_resources.cc

// Adds where the specification speaks of the place that the error names ("/linux/seccomp": …).
// `base` is put before that place: a process alone has "/args" where config.json has "/process/args".
Error cite(Error error, std::string_view base);  // anchors.cc

}  // namespace husk::oci
