// CVE-2019-5736: a process of a container must not get a writable handle of husk's own binary.
// How (README.md, decisions): husk is not dumpable; a program that leads to husk itself is refused
// (check_program); and where processes of the container may be alive beside us (exec, a pid
// namespace that is not new), husk runs from a read-only clone of its mount, so that winning a race
// against the check gives nothing.
#pragma once

#include "base/result.h"

namespace husk::runtime {

// Returns when husk runs from a read-only mount; else starts itself again from a detached read-only
// clone of it, with the same arguments and the first `inherited` descriptors after 2.
// Without CAP_SYS_ADMIN it returns: then no container of ours has rights that its user lacks.
Status run_from_readonly_mount(int inherited);

// The other side of that race, for create: an image that exchanges its program with a link to /proc/self/exe after
// check_program looked. Where husk's own name does not lead to the file that runs, it was reached through such a
// link; it ends before it reads an argument. Errors: denied.
Status refuse_foreign_root();

}  // namespace husk::runtime
