// What a child inherits from a caller must not change what signals do in the container.
#pragma once

namespace husk::runtime {

void reset_signals();  // default actions, nothing blocked

}  // namespace husk::runtime
