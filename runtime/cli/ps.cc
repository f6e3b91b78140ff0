#include <algorithm>
#include <array>
#include <span>

#include "base/file.h"
#include "base/format.h"
#include "base/process.h"
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

struct Request {
  bool json = false;
  std::vector<std::string> ps_arguments;  // none: our own table, which needs no ps(1)
};

// What follows the id belongs to ps(1), whose -f means something else, but for our own formats.
Result<Request> parse_request(const Parsed& parsed) {
  auto format = parsed.has("format") ? parsed.text("format") : std::string{"table"};
  Request request;
  const auto& words = parsed.positional();
  const auto is_format = [](std::string_view word) { return word == "table" || word == "json"; };
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto joined = words[i].starts_with("--format=") ? words[i].substr(9) : std::string{};
    if (is_format(joined))
      format = joined;
    else if ((words[i] == "-f" || words[i] == "--format") && i + 1 < words.size() && is_format(words[i + 1]))
      format = words[++i];
    else
      request.ps_arguments.push_back(words[i]);
  }
  if (!is_format(format)) return Error{Kind::invalid, format_text("invalid format option {}", quote(format))}.hint("use table or json");
  request.json = format == "json";
  return request;
}

// The header and the rows of `pids`, from a table of ps(1) that has a column PID.
Result<std::string> rows_of(std::string_view table, const std::vector<pid_t>& pids) {
  const auto lines = split(table, '\n');
  const auto header = words_of(lines.front());
  const auto column = static_cast<std::size_t>(std::find(header.begin(), header.end(), "PID") - header.begin());
  if (column == header.size())
    return Error{Kind::invalid, "ps: its table has no column PID to choose the rows by"}.hint("let it print one, as -o pid,comm does");
  auto text = format_text("{}\n", lines.front());
  for (const auto line : std::span{lines}.subspan(1)) {
    const auto words = words_of(line);
    if (column >= words.size()) continue;
    const auto pid = parse_uint32(words[column]);
    if (pid.has_value() && std::find(pids.begin(), pids.end(), static_cast<pid_t>(pid.value())) != pids.end()) text += format_text("{}\n", line);
  }
  return text;
}

Result<std::string> table_of_ps(const std::vector<std::string>& arguments, const std::vector<pid_t>& pids) {
  constexpr std::size_t kMaxTable = 64U << 20U;
  SpawnOptions options{.path = TRY(find_host_program("ps").hint("install procps, or leave the arguments after the id out")), .arguments = {"ps"}};
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  const auto output = TRY(run(options, -1, kMaxTable));
  if (!output.status.success())
    return Error{Kind::invalid, format_text("ps ended with status {}: {}", output.status.code, split(trim(output.err), '\n').front())};
  return rows_of(output.out, pids);
}

std::string own_table(const std::vector<pid_t>& pids) {
  auto text = format_text("{:<8} {:>8} {:>8} {}\n", "UID", "PID", "PPID", "COMMAND");
  for (const auto pid : pids) text += row_of(pid);
  return text;
}

std::string json_of(const std::vector<pid_t>& pids) {
  auto json = oci::Json::array();
  for (const auto pid : pids) json.push(static_cast<std::int64_t>(pid));
  return json.dump() + "\n";
}

Result<int> run_ps(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.id_at(0));
  const auto request = TRY(parse_request(parsed));
  const auto directory = TRY(runtime::StateStore{globals.root}.open(id));
  const auto record = directory.read();
  if (!record.has_value()) return record.error();
  const auto cgroup = TRY(runtime::open_cgroup(record.value()));
  const auto pids = TRY(cgroup->processes());
  std::string text;
  if (request.json)
    text = json_of(pids);
  else if (request.ps_arguments.empty())
    text = own_table(pids);
  else
    text = TRY(table_of_ps(request.ps_arguments, pids));
  TRY(print(text));
  return 0;
}

}  // namespace

const Verb kPsVerb{.name = "ps",
                   .arguments = "ID [PS-ARGUMENT…]",
                   .summary = "list the processes of a container",
                   .options = kOptions,
                   .run = run_ps,
                   .takes_command = true};

}  // namespace husk::cli
