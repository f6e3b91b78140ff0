// The verbs: each takes its parsed options and returns the exit code of the program.
#pragma once

#include <string>

#include "base/result.h"
#include "cri/client/connection.h"
#include "cri/client/text/options.h"

namespace husk::pod {

inline constexpr int kOwnFailure = 125;  // of run and exec, whose codes are the command's

Result<int> run_run(Daemon& daemon, const Options& options);
Result<int> run_ps(Daemon& daemon, const Options& options);
Result<int> run_exec(Daemon& daemon, const Options& options);
Result<int> run_logs(Daemon& daemon, const Options& options);
Result<int> run_stats(Daemon& daemon, const Options& options);
Result<int> run_stop(Daemon& daemon, const Options& options);
Result<int> run_rm(Daemon& daemon, const Options& options);
Result<int> run_images(Daemon& daemon, const Options& options);
Result<int> run_pull(Daemon& daemon, const Options& options);
Result<int> run_rmi(Daemon& daemon, const Options& options);
Result<int> run_info(Daemon& daemon, const Options& options);

// Writes to standard output; a reader that left is not an error worth a message, but ends the verb.
Status print(const std::string& text);

// Shared by several verbs.
Status pull_image(Daemon& daemon, const std::string& image, const std::string& credentials, bool say);
Status remove_pod(Daemon& daemon, const cri::PodSandbox& pod);  // with the log directory that run made

}  // namespace husk::pod
