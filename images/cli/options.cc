// Values are taken as they were typed: no splitting at commas.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <cxxopts.hpp>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

const Option* find_option(std::span<const Option> options, std::string_view argument) {
  const bool long_name = argument.starts_with("--");
  const auto name = long_name ? argument.substr(2, argument.find('=') - 2) : argument.substr(1, 1);
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& option) {
    return long_name ? option.name == name : option.letter != 0 && name.size() == 1 && option.letter == name.front();
  });
  return found == options.end() ? nullptr : &*found;
}

struct Separated {
  Arguments options;  // each one word, for cxxopts
  std::vector<std::string> positional;
};

// A value that begins with a dash belongs to its option all the same, so options and values are
// joined here ("-e" "A=-1" → "--env=A=-1"); grouped flags ("-it") are taken apart.
Result<Separated> separate(std::span<const Option> options, const Arguments& arguments, std::size_t raw_after) {
  Separated parts;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    const bool raw = raw_after != 0 && parts.positional.size() >= raw_after;
    if (argument == "--" && !raw) {
      parts.positional.insert(parts.positional.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (raw || argument.size() < 2 || argument[0] != '-') {
      parts.positional.push_back(argument);
      continue;
    }
    const auto* option = find_option(options, argument);
    if (option == nullptr) return Error{Kind::invalid, format_text("unknown option {}", quote(argument))};
    const bool attached = argument.starts_with("--") ? argument.find('=') != std::string::npos : argument.size() > 2;
    if (option->value.empty()) {
      parts.options.push_back(format_text("--{}", option->name));
      if (!argument.starts_with("--") && attached) {
        auto rest = Arguments(arguments.begin(), arguments.end());
        rest[i] = "-" + argument.substr(2);
        const auto tail = TRY(separate(options, Arguments(rest.begin() + static_cast<std::ptrdiff_t>(i), rest.end()),
                                       raw_after == 0 ? 0 : raw_after - parts.positional.size()));
        parts.options.insert(parts.options.end(), tail.options.begin(), tail.options.end());
        parts.positional.insert(parts.positional.end(), tail.positional.begin(), tail.positional.end());
        break;
      }
      continue;
    }
    if (attached && argument.starts_with("--")) {
      parts.options.push_back(argument);
    } else if (attached) {
      parts.options.push_back(format_text("--{}={}", option->name, argument.substr(2)));
    } else if (i + 1 < arguments.size()) {
      parts.options.push_back(format_text("--{}={}", option->name, arguments[++i]));
    } else {
      return Error{Kind::invalid, format_text("option --{} needs a value", option->name)};
    }
  }
  return parts;
}

}  // namespace

bool Parsed::has(std::string_view name) const {
  return std::any_of(given.begin(), given.end(), [&](const auto& item) { return item.first == name; });
}

std::string Parsed::text(std::string_view name) const {
  const auto values = all(name);
  return values.empty() ? std::string{} : values.back();
}

std::vector<std::string> Parsed::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : given)
    if (key == name) values.push_back(value);
  return values;
}

Result<Parsed> parse(std::span<const Option> options, const Arguments& arguments, std::size_t raw_after) {
  auto parts = TRY(separate(options, arguments, raw_after));
  Parsed parsed{.positional = std::move(parts.positional)};
  try {
    cxxopts::Options parser{"husk-image"};
    auto add = parser.add_options();
    for (const auto& option : options) {
      const std::string name{option.name};
      if (option.value.empty()) add(name, std::string{option.help});
      else add(name, std::string{option.help}, cxxopts::value<std::vector<std::string>>());
    }
    std::vector<const char*> words{"husk-image"};
    for (const auto& word : parts.options) words.push_back(word.c_str());
    const auto result = parser.parse(static_cast<int>(words.size()), words.data());
    for (const auto& item : result.arguments()) parsed.given.emplace_back(item.key(), item.value());
  } catch (const std::exception& failure) {  // cxxopts reports by exceptions
    return Error{Kind::invalid, failure.what()};
  }
  return parsed;
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

std::string help_of(const Verb& verb) {
  std::string text = format_text("husk-image {} - {}\n\nUsage: husk-image {}{} {}\n", verb.name, verb.summary, verb.name,
                                 verb.options.empty() ? "" : " [OPTIONS]", verb.arguments);
  if (!verb.options.empty()) text += "\nOptions:\n" + options_help(verb.options);
  return text;
}

}  // namespace husk::images::cli
