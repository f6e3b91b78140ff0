#include "images/cli/run_options.h"

#include "base/format.h"
#include "base/text.h"
#include "images/cli/config_options.h"

namespace husk::images::cli {

Result<BundleOptions> parse_run_options(const Parsed& parsed) {
  BundleOptions options;
  auto& request = options.request;
  for (const auto& text : parsed.all("env")) request.env.push_back(TRY(check_variable(text)));
  for (const auto& text : parsed.all("volume")) request.mounts.push_back(TRY(parse_volume(text)));
  request.terminal = parsed.has("tty");
  request.read_only = parsed.has("read-only");
  request.hostname = parsed.has("hostname") ? parsed.text("hostname") : "husk-" + random_hex(4);
  if (request.hostname.size() > 64)
    return Error{Kind::invalid, format_text("the host name {} is longer than 64 bytes", quote(request.hostname))};
  if (parsed.has("workdir")) request.working_dir = parsed.text("workdir");
  if (parsed.has("user")) options.user = parsed.text("user");
  if (parsed.has("entrypoint")) request.entrypoint = TRY(parse_words(parsed.text("entrypoint")));
  const auto network = parsed.has("net") ? parsed.text("net") : "none";
  if (network == "host") request.network = BundleNetwork::host;
  else if (network != "none")
    return Error{Kind::invalid, format_text("unknown network {}", quote(network))}.hint(
        "--net is none or host; pods with an address of their own: husk pod run");
  return options;
}

}  // namespace husk::images::cli
