#include <cstdio>

#include "base/format.h"
#include "images/cli/image_json.h"
#include "images/cli/size_text.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {kJson, kQuiet};

std::string short_id(const Image& image) { return image.id.substr(7, 12); }

void print_row(const std::string& repository, const std::string& tag, const Image& image) {
  std::printf("%s\n", format_text("{:<40} {:<12} {:<13} {:<16} {}", repository, tag, short_id(image),
                                  age_text(image.created), size_text(image.size_bytes))
                          .c_str());
}

void print_table(const std::vector<Image>& images) {
  std::printf("%s\n", format_text("{:<40} {:<12} {:<13} {:<16} {}", "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE").c_str());
  for (const auto& image : images) {
    for (const auto& name : image.repo_tags) {
      const auto colon = name.rfind(':');
      print_row(name.substr(0, colon), name.substr(colon + 1), image);
    }
    if (!image.repo_tags.empty()) continue;
    const auto repository = image.repo_digests.empty() ? "<none>" : image.repo_digests.front().substr(0, image.repo_digests.front().find('@'));
    print_row(repository, "<none>", image);
  }
}

Result<int> run(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  const auto images = TRY(store->list());
  if (invocation.parsed.has("quiet")) {
    for (const auto& image : images) std::printf("%s\n", image.id.c_str());
  } else if (invocation.parsed.has("json")) {
    auto list = oci::Json::array();
    for (const auto& image : images) list.push(image_json(image));
    std::printf("%s\n", list.dump(2).c_str());
  } else {
    print_table(images);
  }
  return 0;
}

}  // namespace

const Verb kList{"list", "", "show the images of the store", kOptions, 0, 0, 0, run};

}  // namespace husk::images::cli
