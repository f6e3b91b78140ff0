#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/verb.h"
#include "store.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'q', "quiet", "", "print ids only"},
                              Option{'f', "format", "FORMAT", "table (default) or json"}, kHelpOption};

struct Entry {
  runtime::Record record;
  runtime::Phase phase;
};

// A container that is being made or taken away at this moment is left out.
std::vector<Entry> read_all_states(const runtime::StateStore& store, const std::vector<std::string>& ids) {
  std::vector<Entry> entries;
  for (const auto& text : ids) {
    const auto id = ContainerId::parse(text);
    if (!id.has_value()) continue;
    const auto directory = store.open(id.value());
    if (!directory.has_value()) continue;
    auto record = directory.value().read();
    if (!record.has_value()) {
      if (record.error().kind() != Kind::not_found) log::warning(record.error().to_string());
      continue;
    }
    const auto phase = directory.value().live_phase(record.value());
    if (phase.has_value()) entries.push_back({.record = std::move(record).value(), .phase = phase.value()});
  }
  return entries;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      text += i + 1 == row.size() ? row[i] : format_text("{:<{}}   ", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

std::string as_table(const std::vector<Entry>& entries) {
  std::vector<std::vector<std::string>> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const auto& entry : entries) {
    const auto json = runtime::printed_state(entry.record, entry.phase);
    const auto text = [&](std::string_view key) {
      const auto* value = json.find(key);
      return value != nullptr && value->is_string() ? *value->as_string() : std::string{};
    };
    const auto pid = entry.phase == runtime::Phase::stopped ? 0 : entry.record.init.pid;
    rows.push_back({entry.record.id, format_text("{}", pid), text("status"), entry.record.bundle, text("created"), text("owner")});
  }
  return table(rows);
}

std::string as_json(const std::vector<Entry>& entries) {
  auto json = oci::Json::array();
  for (const auto& entry : entries) json.push(runtime::printed_state(entry.record, entry.phase));
  return json.dump() + "\n";
}

Result<int> run_list(const Globals& globals, const Parsed& parsed) {
  TRY(parsed.at_most(0));
  const auto format = parsed.has("format") ? parsed.text("format") : std::string{"table"};
  if (format != "table" && format != "json")
    return Error{Kind::invalid, format_text("invalid format option {}", quote(format))}.hint("use table or json");
  const runtime::StateStore store{globals.root};
  const auto ids = TRY(store.ids());
  const auto entries = read_all_states(store, ids);
  std::string text;
  if (parsed.has("quiet"))
    for (const auto& entry : entries) text += entry.record.id + "\n";
  else
    text = format == "json" ? as_json(entries) : as_table(entries);
  TRY(print(text));
  return 0;
}

}  // namespace

const Verb kListVerb{.name = "list", .arguments = "", .summary = "list the containers below --root", .options = kOptions, .run = run_list};

}  // namespace husk::cli
