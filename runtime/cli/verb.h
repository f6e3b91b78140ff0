// A verb is one row: its options, its text for --help, and the function that runs it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cli/options.h"

namespace husk::cli {

// The options before the verb.
struct Globals {
  std::string root;
  cgroups::Driver driver = cgroups::Driver::cgroupfs;
};

struct Verb {
  std::string_view name;
  std::string_view arguments;  // "ID [SIGNAL]"
  std::string_view summary;
  std::span<const Option> options;
  // The exit code, or what failed.
  Result<int> (*run)(const Globals& globals, const Parsed& parsed);
  bool keeps_descriptors = false;  // honours --preserve-fds and $LISTEN_FDS
  bool takes_command = false;      // what follows the second argument is the container's
};

extern const Verb kCreateVerb;
extern const Verb kStartVerb;
extern const Verb kStateVerb;
extern const Verb kKillVerb;
extern const Verb kDeleteVerb;
extern const Verb kRunVerb;
extern const Verb kExecVerb;
extern const Verb kListVerb;
extern const Verb kPsVerb;
extern const Verb kPauseVerb;
extern const Verb kResumeVerb;
extern const Verb kUpdateVerb;
extern const Verb kMountsVerb;
extern const Verb kWaitVerb;
extern const Verb kEventsVerb;
extern const Verb kGcVerb;
extern const Verb kSpecVerb;
extern const Verb kFeaturesVerb;

inline constexpr Option kHelpOption{.letter = 'h', .name = "help", .value = "", .help = "show this text"};

Status print(std::string_view text);  // to standard output

}  // namespace husk::cli
