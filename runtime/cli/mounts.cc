#include <unistd.h>

#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/verb.h"
#include "container.h"
#include "oci-spec/parse_config.h"
#include "self_protect.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<runtime::MountChange> parse_change(const std::string& word) {
  if (word == "add") return runtime::MountChange::add;
  if (word == "remove") return runtime::MountChange::remove;
  return Error{Kind::invalid, format_text("{} is neither add nor remove", quote(word))}.hint("see --help");
}

Result<int> run_mounts(const Globals& globals, const Parsed& parsed) {
  const auto& words = parsed.positional();
  if (words.size() < 3) return Error{Kind::invalid, "mounts requires an argument: add or remove, an id and a file"}.hint("see --help");
  TRY(parsed.at_most(3));
  const auto change = TRY(parse_change(words[0]));
  const auto id = TRY(parsed.id_at(1));
  // A child of ours works beside the container's processes. Before standard input is read: this starts husk anew.
  TRY(runtime::run_from_readonly_mount(0));
  const auto limit = oci::JsonLimits{}.max_bytes;
  const auto text = TRY((words[2] == "-" ? read_all(STDIN_FILENO, limit) : read_file(words[2], limit)).during("read mounts"));
  const auto mounts = TRY(oci::parse_mounts(text).during(quote(words[2])));
  TRY(runtime::change_mounts(runtime::StateStore{globals.root}, id, change, mounts));
  return 0;
}

}  // namespace

const Verb kMountsVerb{.name = "mounts",
                       .arguments = "add|remove ID FILE",
                       .summary = "mount into a container that is there, or unmount",
                       .options = kOptions,
                       .run = run_mounts};

}  // namespace husk::cli
