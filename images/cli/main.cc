// husk-image: images, bundles and one-shot containers for people and scripts. One file a verb.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kGlobals[] = {
    {0, "root", "DIR", "the image store (default: $HUSK_IMAGE_ROOT or /var/lib/husk)"},
    {0, "registries-conf", "FILE", "instead of /etc/containers/registries.conf"},
    {0, "registries-conf-dir", "DIR", "instead of /etc/containers/registries.conf.d"},
    {0, "certs-dir", "DIR", "instead of /etc/containers/certs.d and /etc/docker/certs.d"},
    {0, "version", "", "print the version"},
    {'h', "help", "", "print this"},
};

const std::array kVerbs{&kImport, &kPull, &kList, &kInspect, &kTag, &kRm, &kMount, &kUmount, &kBundle, &kCommit, &kRun};

// Known names without a program behind them yet: refused as what they are.
constexpr std::array kLater{"save", "load", "push", "prune", "history"};

std::string help() {
  std::string text = "husk-image - images, bundles and one-shot containers\n\nUsage: husk-image [OPTIONS] VERB …\n\nVerbs:\n";
  for (const auto* verb : kVerbs) text += format_text("  {:<9} {:<24} {}\n", verb->name, verb->arguments, verb->summary);
  return text + "\nOptions:\n" + options_help(kGlobals) + "\nhusk-image VERB --help tells more about one verb.\n";
}

// A default may be absent; what is named must be there, or a typing error would go unseen.
Status check_named(const Parsed& parsed) {
  for (const auto* name : {"registries-conf", "registries-conf-dir", "certs-dir"})
    if (parsed.has(name) && !path_exists(parsed.text(name)))
      return Error{Kind::not_found, format_text("--{} {} does not exist", name, quote(parsed.text(name)))};
  return ok();
}

StoreOptions store_options(const Parsed& parsed) {
  StoreOptions options;
  const char* root = std::getenv("HUSK_IMAGE_ROOT");
  options.root = parsed.has("root") ? parsed.text("root") : root != nullptr && *root != '\0' ? root : "/var/lib/husk";
  if (parsed.has("registries-conf")) options.registries_conf = parsed.text("registries-conf");
  if (parsed.has("registries-conf-dir")) options.registries_conf_dir = parsed.text("registries-conf-dir");
  if (parsed.has("certs-dir")) options.certs_dirs = {parsed.text("certs-dir")};
  return options;
}

Result<const Verb*> find_verb(const std::string& name) {
  for (const auto* verb : kVerbs)
    if (verb->name == name) return verb;
  for (const auto* later : kLater)
    if (name == later)
      return Error{Kind::unsupported, format_text("{} is not there yet in this version", name)}.hint(
          "husk-image --help shows what is");
  return Error{Kind::invalid, format_text("unknown verb {}", quote(name))}.hint("husk-image --help shows them all");
}

Result<int> run_verb(const Verb& verb, const StoreOptions& store, const Arguments& arguments) {
  std::vector<Option> options(verb.options.begin(), verb.options.end());
  options.push_back({'h', "help", "", "print this"});
  auto parsed = TRY(parse(options, arguments, verb.raw_after).hint(format_text("husk-image {} --help", verb.name)));
  if (parsed.has("help")) {
    std::printf("%s", help_of(verb).c_str());
    return 0;
  }
  if (parsed.positional.size() < verb.least || parsed.positional.size() > verb.most)
    return Error{Kind::invalid, format_text("expects {}", verb.arguments.empty() ? "no arguments" : verb.arguments)}.hint(
        format_text("husk-image {} --help", verb.name));
  return verb.run({.store = store, .parsed = std::move(parsed)});
}

Result<int> run(const Arguments& arguments) {
  const auto globals = TRY(parse(kGlobals, arguments, 1));
  if (globals.has("version")) {
    std::printf("husk-image version %s\n", HUSK_VERSION);
    return 0;
  }
  if (globals.has("help") || globals.positional.empty()) {
    std::fprintf(globals.has("help") ? stdout : stderr, "%s", help().c_str());
    return globals.has("help") ? 0 : 1;
  }
  TRY(check_named(globals));
  const auto& name = globals.positional.front();
  const auto* verb = TRY(find_verb(name));
  return run_verb(*verb, store_options(globals), Arguments(globals.positional.begin() + 1, globals.positional.end()))
      .during(name);
}

}  // namespace
}  // namespace husk::images::cli

int main(int argc, char** argv) {
  using namespace husk;
  (void)log::open({.program = "husk-image"});  // to standard error only: cannot fail
  const auto code = images::cli::run(images::cli::Arguments(argv + 1, argv + argc));
  if (code.has_value()) return code.value();
  log::error(code.error().to_string());
  return 1;
}
