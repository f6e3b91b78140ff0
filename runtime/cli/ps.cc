#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/verb.h"
#include "store.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'f', "format", "FORMAT", "table (default) or json: an array of host pids"}, kHelpOption};

// One line: uid, pid, parent, command. Empty when the process ended meanwhile.
std::string row_of(pid_t pid) {
  const auto status = read_file(format_text("/proc/{}/status", pid), 1U << 16U);
  const auto command = read_file(format_text("/proc/{}/cmdline", pid), 1U << 16U);
  if (!status.has_value() || !command.has_value()) return "";
  const auto field = [&](std::string_view name) {
    for (const auto line : split(status.value(), '\n'))
      if (line.starts_with(name)) return std::string{trim(line.substr(name.size()))};
    return std::string{};
  };
  const auto uids = field("Uid:");
  std::string shown = command.value().empty() ? "[" + field("Name:") + "]" : command.value();
  for (auto& c : shown)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return format_text("{:<8} {:>8} {:>8} {}\n", uids.substr(0, uids.find('\t')), pid, field("PPid:"), trim(shown));
}

Result<int> run_ps(const Globals& globals, const Parsed& parsed) {
  if (parsed.positional().size() > 1)
    return Error{Kind::unsupported, format_text("ps: argument {} is not supported", quote(parsed.positional()[1]))}.hint(
        "husk ps takes an id only and prints its own table");
  const auto id = TRY(parsed.only_id());
  const auto format = parsed.has("format") ? parsed.text("format") : std::string{"table"};
  if (format != "table" && format != "json")
    return Error{Kind::invalid, format_text("invalid format option {}", quote(format))}.hint("use table or json");
  const auto directory = TRY(runtime::StateStore{globals.root}.open(id));
  const auto record = directory.read();
  if (!record.has_value() && record.error().kind() == Kind::not_found) return runtime::does_not_exist(id.text());
  if (!record.has_value()) return record.error();
  const auto cgroup = TRY(runtime::open_cgroup(record.value()));
  const auto pids = TRY(cgroup->processes());
  std::string text;
  if (format == "json") {
    auto json = oci::Json::array();
    for (const auto pid : pids) json.push(static_cast<std::int64_t>(pid));
    text = json.dump() + "\n";
  } else {
    text = format_text("{:<8} {:>8} {:>8} {}\n", "UID", "PID", "PPID", "COMMAND");
    for (const auto pid : pids) text += row_of(pid);
  }
  TRY(print(text));
  return 0;
}

}  // namespace

const Verb kPsVerb{.name = "ps", .arguments = "ID", .summary = "list the processes of a container", .options = kOptions, .run = run_ps};

}  // namespace husk::cli
