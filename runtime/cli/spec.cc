#include <unistd.h>

#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cli/create_options.h"
#include "default_spec.h"
#include "oci-spec/parse_config.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'b', "bundle", "DIR", "where to write config.json (default: here)"},
                              Option{'f', "file", "FILE", "name of the file instead of config.json"},
                              Option{0, "rootless", "", "for a user without privileges"}, kHelpOption};

Result<int> run_spec(const Globals&, const Parsed& parsed) {
  TRY(parsed.at_most(0));
  auto spec = runtime::default_spec();
  if (parsed.has("rootless")) runtime::make_rootless(spec, ::geteuid(), ::getegid());
  const auto directory = parsed.has("bundle") ? parsed.text("bundle") : std::string{"."};
  const auto name = parsed.has("file") ? parsed.text("file") : std::string{"config.json"};
  const auto path = name.starts_with('/') ? name : format_text("{}/{}", directory, name);
  auto file = sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file.has_value() && file.error().kind() == Kind::exists)
    return Error{Kind::exists, format_text("file {} exists", quote(path))}.hint("remove it first");
  if (!file.has_value() && file.error().kind() == Kind::not_found)
    return std::move(file).error().hint("--bundle must name a directory that exists");
  if (!file.has_value()) return std::move(file).error();
  TRY(sys::write_all(file.value().get(), oci::write_config(spec) + "\n"));
  return 0;
}

}  // namespace

const Verb kSpecVerb{.name = "spec", .arguments = "", .summary = "write a config.json to start from", .options = kOptions, .run = run_spec};

}  // namespace husk::cli
