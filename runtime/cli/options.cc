#include "cli/options.h"

#include <cxxopts.hpp>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"

namespace husk::cli {
namespace {

const Option* find_name(std::span<const Option> options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& item) { return item.name == name; });
  return found == options.end() ? nullptr : &*found;
}

const Option* find_letter(std::span<const Option> options, char letter) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& item) { return item.letter == letter; });
  return found == options.end() ? nullptr : &*found;
}

// "-no-subreaper" → "--no-subreaper", when that is the long name of an option; "--usage" is crun's for "--help".
std::string normalize(std::span<const Option> options, const std::string& argument) {
  if (argument == "--usage") return "--help";
  if (argument.size() < 3 || argument[0] != '-' || argument[1] == '-') return argument;
  const auto name = std::string_view{argument}.substr(1, argument.find('=') - 1);
  return find_name(options, name) != nullptr ? "-" + argument : argument;
}

// The option whose value is the next argument; nothing when there is none.
const Option* takes_next(std::span<const Option> options, std::string_view argument) {
  if (argument.starts_with("--")) {
    if (argument.find('=') != std::string_view::npos) return nullptr;
    const auto* option = find_name(options, argument.substr(2));
    return option != nullptr && !option->value.empty() ? option : nullptr;
  }
  for (std::size_t i = 1; i < argument.size(); ++i) {  // "-dp FILE": grouped letters
    const auto* option = find_letter(options, argument[i]);
    if (option == nullptr) return nullptr;
    if (!option->value.empty()) return i + 1 == argument.size() ? option : nullptr;
  }
  return nullptr;
}

bool is_option(std::string_view argument) { return argument.size() > 1 && argument[0] == '-'; }

bool is_known(std::span<const Option> options, std::string_view argument) {
  if (argument.starts_with("--")) return find_name(options, argument.substr(2, argument.find('=') - 2)) != nullptr;
  for (const char letter : argument.substr(1)) {  // "-td": grouped letters
    const auto* option = find_letter(options, letter);
    if (option == nullptr) return false;
    if (!option->value.empty()) return true;  // the rest is its value
  }
  return true;
}

// Two habits from other programs get the answer that helps: docker run -it, kill -9.
Error unknown_option(std::string_view argument, bool is_global) {
  Error error{Kind::invalid, format_text("unknown option {}", quote(argument))};
  if (is_global) return std::move(error).hint("options for all verbs stand before the verb: husk --root DIR run ID");
  const bool is_run_it = argument.find('i') != std::string_view::npos && argument.find_first_not_of("-itd") == std::string_view::npos;
  if (argument == "--interactive" || is_run_it)
    return std::move(error).hint("standard input is always connected; exec takes -t, run and create go by process.terminal of config.json");
  if (argument[1] >= '0' && argument[1] <= '9') return std::move(error).hint("a signal follows the id, without a dash: husk kill ID 9");
  return std::move(error).hint("see --help");
}

// "--detach=perhaps". The words are those that cxxopts takes.
Status check_flag_value(std::span<const Option> options, std::string_view argument) {
  const auto equals = argument.find('=');
  if (!argument.starts_with("--") || equals == std::string_view::npos) return ok();
  const auto* option = find_name(options, argument.substr(2, equals - 2));
  if (option == nullptr || !option->value.empty()) return ok();
  constexpr std::array<std::string_view, 11> kWords{"", "0", "1", "t", "T", "true", "True", "f", "F", "false", "False"};
  const auto value = argument.substr(equals + 1);
  if (std::find(kWords.begin(), kWords.end(), value) != kWords.end()) return ok();
  return Error{Kind::invalid, format_text("--{} {}: must be true or false", option->name, quote(value))};
}

struct Separated {
  std::vector<std::string> options;  // for cxxopts
  std::vector<std::string> positional;
};

Result<Separated> separate(std::span<const Option> options, const Arguments& arguments, bool stop_at_second,
                           std::span<const Option> globals) {
  Separated parts;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto argument = normalize(options, arguments[i]);
    if (argument == "--" || (stop_at_second && parts.positional.size() == 1 && !arguments[i].empty())) {
      const auto first = arguments.begin() + static_cast<std::ptrdiff_t>(argument == "--" ? i + 1 : i);
      parts.positional.insert(parts.positional.end(), first, arguments.end());
      break;
    }
    if (!is_option(argument)) {
      parts.positional.push_back(argument);
      continue;
    }
    if (!is_known(options, argument)) return unknown_option(arguments[i], is_known(globals, normalize(globals, argument)));
    TRY(check_flag_value(options, argument));
    const auto* option = takes_next(options, argument);
    if (option == nullptr) {
      parts.options.push_back(argument);
      continue;
    }
    // The text that podman's probe looks for.
    if (i + 1 == arguments.size())
      return Error{Kind::invalid, format_text("option --{} requires an argument", option->name)};
    // One word, so that a value which begins with a dash is not taken for an option.
    parts.options.push_back(format_text("--{}={}", option->name, arguments[++i]));
    if (argument.starts_with("--") || argument.size() == 2) continue;
    parts.options.push_back(argument.substr(0, argument.size() - 1));  // the flags grouped before it
  }
  return parts;
}

cxxopts::Options make_parser(std::span<const Option> options) {
  cxxopts::Options parser{"husk"};
  auto add = parser.add_options();
  for (const auto& option : options) {
    std::string names = option.letter != 0 ? std::string{option.letter} + "," : "";
    names += option.name;
    if (option.value.empty())
      add(names, std::string{option.help});
    else
      add(names, std::string{option.help}, cxxopts::value<std::string>());
  }
  return parser;
}

// The words for it that cxxopts accepts; it refuses what is no truth value.
bool is_false(std::string_view value) {
  const auto lower = to_lower(value);
  return lower.empty() || lower == "0" || lower == "false";
}

}  // namespace

bool Parsed::has(std::string_view name) const {
  // Flags may be given a value, "--systemd-cgroup=false"; the last one counts. Other options hold what they
  // hold: a bundle may be called "false".
  for (auto item = given_.rbegin(); item != given_.rend(); ++item)
    if (item->name == name) return !item->is_flag || !is_false(item->value);
  return false;
}

std::string Parsed::text(std::string_view name) const {
  for (auto item = given_.rbegin(); item != given_.rend(); ++item)
    if (item->name == name) return item->value;
  return "";
}

std::vector<std::string> Parsed::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& item : given_)
    if (item.name == name) values.push_back(item.value);
  return values;
}

Result<int> Parsed::number(std::string_view name, int absent) const {
  constexpr std::uint32_t kMost = 1024;
  if (!has(name)) return absent;
  const auto value = parse_uint32(text(name));
  if (!value.has_value() || value.value() > kMost)
    return Error{Kind::invalid, format_text("--{} {}: must be a number up to {}", name, quote(text(name)), kMost)};
  return static_cast<int>(value.value());
}

Result<ContainerId> Parsed::id_at(std::size_t index) const {
  if (index >= positional_.size())
    return Error{Kind::invalid, "requires an argument: a container id"}.hint("see --help");
  return ContainerId::parse(positional_[index]);
}

Status Parsed::at_most(std::size_t count) const {
  if (positional_.size() <= count) return ok();
  return Error{Kind::invalid, format_text("unexpected argument {}", quote(positional_[count]))}.hint("see --help");
}

Result<ContainerId> Parsed::only_id() const {
  TRY(at_most(1));
  return id_at(0);
}

Result<Parsed> parse_options(std::span<const Option> options, const Arguments& arguments, bool stop_at_second,
                             std::span<const Option> globals) {
  auto parts = TRY(separate(options, arguments, stop_at_second, globals));
  Parsed parsed;
  parsed.positional_ = std::move(parts.positional);
  if (parts.options.empty()) return parsed;
  std::vector<const char*> argv{"husk"};
  for (const auto& item : parts.options) argv.push_back(item.c_str());
  try {
    auto parser = make_parser(options);
    const auto result = parser.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& item : result.arguments()) {
      const auto* option = find_name(options, item.key());
      parsed.given_.push_back({.name = item.key(), .value = item.value(), .is_flag = option != nullptr && option->value.empty()});
    }
    for (const auto& item : result.unmatched()) parsed.positional_.push_back(item);
  } catch (const std::exception& error) {
    return Error{Kind::invalid, error.what()}.hint("see --help");
  }
  return parsed;
}

std::size_t find_first_positional(std::span<const Option> options, const Arguments& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto argument = normalize(options, arguments[i]);
    if (!is_option(argument)) return i;
    if (takes_next(options, argument) != nullptr) ++i;
  }
  return arguments.size();
}

std::string options_help(std::span<const Option> options) {
  std::string text;
  for (const auto& option : options) {
    std::string left = option.letter != 0 ? format_text("  -{}, --{}", option.letter, option.name)
                                          : format_text("      --{}", option.name);
    if (!option.value.empty()) left += format_text(" {}", option.value);
    text += format_text("{:<30} {}\n", left, option.help);
  }
  return text;
}

}  // namespace husk::cli
