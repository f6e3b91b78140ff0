#include <cstdio>

#include "base/format.h"
#include "base/text.h"
#include "images/cli/image_json.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {kJson, {0, "config", "", "print the image's configuration as it is stored"}};

Result<int> run(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  const auto& reference = invocation.parsed.positional[0];
  const auto image = TRY(store->find(reference));
  if (!image.has_value())
    return Error{Kind::not_found, format_text("no image {}", quote(reference))}.hint("husk-image list shows what is here");
  const auto config = TRY(store->config_text(image->id));
  if (invocation.parsed.has("config")) {
    std::printf("%s\n", config.c_str());
    return 0;
  }
  auto json = image_json(*image);
  json.set("imageConfig", TRY(oci::parse_json(config)));
  std::printf("%s\n", json.dump(2).c_str());
  return 0;
}

}  // namespace

const Verb kInspect{"inspect", "IMAGE", "show all about one image, as JSON", kOptions, 1, 1, 0, run};

}  // namespace husk::images::cli
