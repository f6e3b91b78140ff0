// An image as JSON, for list --json and inspect.
#pragma once

#include "images/images.h"
#include "oci-spec/json.h"

namespace husk::images::cli {

oci::Json image_json(const Image& image);

}  // namespace husk::images::cli
