#include "cri/client/text/options.h"

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::pod {

class OptionParser {
 public:
  OptionParser(std::span<const std::string> arguments, std::span<const OptionSpec> specs, std::size_t words_before_rest)
      : arguments_{arguments}, specs_{specs}, words_before_rest_{words_before_rest} {}

  Result<Options> parse() {
    bool ended = false;
    for (; at_ < arguments_.size(); ++at_) {
      const std::string_view argument = arguments_[at_];
      if (!ended && argument == "--") {
        ended = true;
      } else if (ended || argument.size() < 2 || argument.front() != '-') {
        result_.words_.emplace_back(argument);
        ended = ended || result_.words_.size() >= words_before_rest_;
      } else if (argument.starts_with("--")) {
        TRY(parse_long(argument.substr(2)));
      } else {
        TRY(parse_letters(argument.substr(1)));
      }
    }
    return std::move(result_);
  }

 private:
  static Error unknown(const std::string& option, bool wants_terminal) {
    Error error{Kind::invalid, format_text("unknown option {}", quote(option))};
    if (!wants_terminal) return error;
    return std::move(error).hint("pods get no standard input or terminal; husk image run -it has both");
  }
  Result<const OptionSpec*> find_name(std::string_view name) const {
    for (const auto& spec : specs_)
      if (spec.name == name) return &spec;
    return unknown("--" + std::string{name}, name == "interactive" || name == "tty");
  }
  Result<const OptionSpec*> find_letter(char letter) const {
    for (const auto& spec : specs_)
      if (spec.letter == letter) return &spec;
    return unknown(std::string{'-', letter}, letter == 'i');
  }
  Result<std::string> next_argument(const OptionSpec& spec) {
    if (at_ + 1 >= arguments_.size())
      return Error{Kind::invalid, format_text("option --{} requires an argument ({})", spec.name, spec.argument)};
    return arguments_[++at_];
  }
  void add(const OptionSpec& spec, std::string value) {
    result_.values_[std::string{spec.name}].push_back(std::move(value));
  }
  Status parse_long(std::string_view text) {
    const auto equals = text.find('=');
    const auto* spec = TRY(find_name(text.substr(0, equals)));
    if (spec->argument.empty()) {
      if (equals != std::string_view::npos)
        return Error{Kind::invalid, format_text("option --{} takes no argument", spec->name)};
      add(*spec, "");
    } else if (equals != std::string_view::npos) {
      add(*spec, std::string{text.substr(equals + 1)});
    } else {
      auto value = TRY(next_argument(*spec));
      add(*spec, std::move(value));
    }
    return ok();
  }
  Status parse_letters(std::string_view letters) {
    while (!letters.empty()) {
      const auto* spec = TRY(find_letter(letters.front()));
      letters.remove_prefix(1);
      if (spec->argument.empty()) {
        add(*spec, "");
        continue;
      }
      if (!letters.empty()) {
        add(*spec, std::string{letters});
      } else {
        auto value = TRY(next_argument(*spec));
        add(*spec, std::move(value));
      }
      return ok();
    }
    return ok();
  }

  std::span<const std::string> arguments_;
  std::span<const OptionSpec> specs_;
  std::size_t words_before_rest_;
  std::size_t at_ = 0;
  Options result_;
};

std::optional<std::string> Options::value(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

const std::vector<std::string>& Options::values(std::string_view name) const {
  static const std::vector<std::string> none;
  const auto found = values_.find(name);
  return found == values_.end() ? none : found->second;
}

Result<Options> parse_options(std::span<const std::string> arguments, std::span<const OptionSpec> specs,
                              std::size_t words_before_rest) {
  return OptionParser{arguments, specs, words_before_rest}.parse();
}

std::string options_help(std::span<const OptionSpec> specs) {
  std::vector<std::string> left;
  std::size_t width = 0;
  for (const auto& spec : specs) {
    std::string text = spec.letter != 0 ? format_text("  -{}, ", spec.letter) : std::string{"      "};
    text += format_text("--{}{}{}", spec.name, spec.argument.empty() ? "" : " ", spec.argument);
    width = std::max(width, text.size());
    left.push_back(std::move(text));
  }
  std::string out;
  for (std::size_t i = 0; i < left.size(); ++i)
    out += left[i] + std::string(width + 2 - left[i].size(), ' ') + std::string{specs[i].help} + "\n";
  return out;
}

}  // namespace husk::pod
