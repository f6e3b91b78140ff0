// Life of a container as one table. "paused" is an extension of ours, derived from the freezer.
// Source: runtime-spec runtime.md#state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace husk::runtime {

enum class Phase : std::uint8_t { creating, created, running, paused, stopped };
enum class Event : std::uint8_t { set_up, start, pause, resume, exit };

constexpr std::optional<Phase> next(Phase from, Event event) {
  struct Row {
    Phase from;
    Event event;
    Phase to;
  };
  constexpr std::array kRows{
      Row{Phase::creating, Event::set_up, Phase::created}, Row{Phase::created, Event::start, Phase::running},
      Row{Phase::created, Event::pause, Phase::paused},    Row{Phase::running, Event::pause, Phase::paused},
      Row{Phase::paused, Event::resume, Phase::running}};
  if (event == Event::exit && from != Phase::stopped) return Phase::stopped;
  for (const auto& row : kRows)
    if (row.from == from && row.event == event) return row.to;
  return std::nullopt;
}

static_assert(next(Phase::created, Event::start) == Phase::running);
static_assert(!next(Phase::running, Event::start).has_value());
static_assert(!next(Phase::stopped, Event::start).has_value());
static_assert(!next(Phase::stopped, Event::exit).has_value());
static_assert(!next(Phase::creating, Event::pause).has_value());

constexpr std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::creating: return "creating";
    case Phase::created: return "created";
    case Phase::running: return "running";
    case Phase::paused: return "paused";
    case Phase::stopped: return "stopped";
  }
  return "unknown";
}

}  // namespace husk::runtime
