#include "monitor/process_tree.h"

#include <signal.h>
#include <unistd.h>

#include <string>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::monitor {
namespace {

constexpr int kRounds = 16;  // a fork bomb inside an exec may outrun us; the container's limits end it

Result<std::vector<ProcessStat>> list_processes() {
  const auto proc = TRY(sys::openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY));
  std::vector<ProcessStat> list;
  for (const auto& entry : TRY(sys::list_dir(proc.get()))) {
    if (entry.name.front() < '0' || entry.name.front() > '9') continue;
    const auto text = read_file_at(proc.get(), entry.name + "/stat", 4096);
    if (!text.has_value()) continue;  // ended meanwhile
    if (const auto stat = parse_process_stat(text.value())) list.push_back(*stat);
  }
  return list;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  const auto open = text.find(" (");
  const auto close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  const auto fields = split(text.substr(close + 2), ' ');
  if (fields.size() < 4 || fields[0].size() != 1) return std::nullopt;
  const auto pid = parse_uint32(text.substr(0, open));
  const auto parent = parse_uint32(fields[1]);
  const auto session = parse_uint32(fields[3]);
  if (!pid.has_value() || !parent.has_value() || !session.has_value()) return std::nullopt;
  return ProcessStat{.pid = static_cast<pid_t>(pid.value()),
                     .parent = static_cast<pid_t>(parent.value()),
                     .session = static_cast<pid_t>(session.value()),
                     .state = fields[0].front()};
}

std::set<pid_t> select_tree(const std::vector<ProcessStat>& processes, pid_t root, const std::set<pid_t>& known) {
  std::set<pid_t> parents = known;
  parents.insert(root);
  std::set<pid_t> selected;
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& process : processes) {
      if (process.pid != root && process.session != root && !parents.contains(process.parent)) continue;
      if (process.state != 'Z' && selected.insert(process.pid).second) grown = true;
      if (parents.insert(process.pid).second) grown = true;
    }
  }
  return selected;
}

Status kill_process_tree(pid_t root) {
  std::set<pid_t> known;
  for (int round = 0; round < kRounds; ++round) {
    const auto processes = TRY(list_processes());
    const auto members = select_tree(processes, root, known);
    bool fresh = false;
    for (const pid_t pid : members) {
      // Between the listing and this line the number could have gone to another process only if
      // the whole pid space was used up meanwhile.
      (void)sys::kill(pid, SIGKILL);  // may have ended
      fresh = known.insert(pid).second || fresh;
    }
    if (!fresh) return ok();
  }
  return Error{Kind::busy, format_text("processes below {} appear faster than they can be killed", root)};
}

}  // namespace husk::monitor
