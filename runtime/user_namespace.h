// A plain user's husk becomes root of the container's user namespace first and then starts itself anew: from there on
// it works as it does for root, with the rights of that namespace alone.
// Source: man 7 user_namespaces; man 1 newuidmap; CVE-2014-8989.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "namespaces.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

// create: makes the namespace with the mappings of `spec` and a mount namespace in it. Returns for root, and in the
// husk that was started anew. `inherited`: descriptors after 2 that go along.
Status enter_new_user_namespace(const oci::Spec& spec, int inherited);
// exec: enters the one of the process `init`.
Status enter_user_namespace_of(const UniqueFd& init, int inherited);

// Are newuidmap and newgidmap installed?
bool has_id_mappers();

// Was this husk started anew by enter_new_user_namespace?
bool is_in_container_user_namespace();
// Then the namespace is there already: none is to be made.
void adopt_user_namespace(NamespacePlan& plan);

}  // namespace husk::runtime
