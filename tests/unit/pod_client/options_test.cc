#include "cri/client/text/options.h"

#include "cri/client/text/verbs.h"
#include "harness/harness.h"

namespace husk::pod {
namespace {

constexpr OptionSpec kSpecs[] = {{"all", 'a', "", "everything"},
                                 {"force", 'f', "", "even so"},
                                 {"name", 'n', "NAME", "its name"}};

Result<Options> parse(std::vector<std::string> arguments, std::size_t words_before_rest = kAllWords) {
  return parse_options(arguments, kSpecs, words_before_rest);
}

void check_invalid(std::vector<std::string> arguments, std::string_view part) {
  const auto result = parse(std::move(arguments));
  REQUIRE(!result.has_value());
  CHECK(result.error().kind() == Kind::invalid);
  CHECK_MESSAGE(result.error().to_string().find(part) != std::string::npos, result.error().to_string());
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("options: long, short, joined, with = and in the next argument") {
  for (const auto& arguments : {Words{"--name", "x", "-af"}, Words{"--name=x", "-a", "-f"}, Words{"-n", "x", "--all", "--force"},
                                Words{"-nx", "-fa"}, Words{"-afn", "x"}}) {
    const auto options = parse(arguments);
    REQUIRE_OK(options);
    CHECK(options.value().has("all"));
    CHECK(options.value().has("force"));
    CHECK(options.value().value("name") == "x");
    CHECK(options.value().words().empty());
  }
}

TEST_CASE("options: an empty value and one that looks like an option are values") {
  CHECK(parse({"--name="}).value().value("name") == "");
  CHECK(parse({"-n", "-a"}).value().value("name") == "-a");
  CHECK(!parse({"-n", "-a"}).value().has("all"));
}

TEST_CASE("options: repeated ones are all kept, the last counts") {
  const auto options = parse({"-n", "a", "-n", "b"});
  REQUIRE_OK(options);
  CHECK(options.value().values("name") == Words{"a", "b"});
  CHECK(options.value().value("name") == "b");
  CHECK(options.value().values("other").empty());
}

TEST_CASE("options: what follows the verb's own words belongs to the command") {
  const auto options = parse({"-a", "web", "ls", "-l", "--name"}, 1);
  REQUIRE_OK(options);
  CHECK(options.value().words() == Words{"web", "ls", "-l", "--name"});
  CHECK(parse({"web", "-a"}).value().has("all"));
  CHECK(parse({"--", "-a", "--"}).value().words() == Words{"-a", "--"});
  CHECK(parse({"web", "--", "x"}, 1).value().words() == Words{"web", "--", "x"});
  CHECK(parse({"-"}).value().words() == Words{"-"});
}

TEST_CASE("options: mistakes are named") {
  check_invalid({"--bad"}, "unknown option \"--bad\"");
  check_invalid({"-x"}, "unknown option \"-x\"");
  check_invalid({"-ax"}, "unknown option \"-x\"");
  check_invalid({"-it"}, "unknown option \"-i\" (hint: pods get no standard input");
  check_invalid({"--tty"}, "husk image run -it has both");
  check_invalid({"--name"}, "requires an argument");
  check_invalid({"-an"}, "requires an argument");
  check_invalid({"--all=yes"}, "takes no argument");
  check_invalid({"--nam", "x"}, "unknown option");
}

TEST_CASE("verbs: the number of words is checked, with a hint; --help needs none") {
  const auto* run = find_verb("run");
  REQUIRE(run != nullptr);
  const auto missing = parse_verb(*run, Words{"-d"});
  REQUIRE(!missing.has_value());
  CHECK(missing.error().to_string().find("IMAGE") != std::string::npos);
  CHECK(missing.error().to_string().find("husk-pod run --help") != std::string::npos);
  CHECK(parse_verb(*run, Words{"--help"}).value().has("help"));
  CHECK(!parse_verb(*find_verb("ps"), Words{"x"}).has_value());
  CHECK(!parse_verb(*find_verb("exec"), Words{"web"}).has_value());
  CHECK(find_verb("fly") == nullptr);
}

TEST_CASE("verbs: no letter or name means two options") {
  for (const auto& verb : verb_specs())
    for (std::size_t i = 0; i < verb.options.size(); ++i)
      for (std::size_t k = i + 1; k < verb.options.size(); ++k) {
        CHECK_MESSAGE(verb.options[i].name != verb.options[k].name, verb.name);
        CHECK_MESSAGE((verb.options[i].letter == 0 || verb.options[i].letter != verb.options[k].letter), verb.options[i].name);
      }
}

TEST_CASE("manual page: every verb and option of --help stands in husk-pod.1, and no other") {
  auto page = read_file(husk::test::source_dir() + "/man/husk-pod.1");
  REQUIRE_OK(page);
  std::string text;
  for (const char c : page.value())
    if (c != '\\') text += c;  // "\-\-name"
  std::size_t options = 0;
  const auto check = [&](const OptionSpec& option) {
    const auto name = format_text("--{}", option.name);
    CHECK_MESSAGE((text.find(name + " ") != std::string::npos || text.find(name + "\n") != std::string::npos ||
                   text.find(name + "\"") != std::string::npos),
                  name);
    ++options;
  };
  for (const auto& option : global_options()) check(option);
  for (const auto& verb : verb_specs()) {
    CHECK_MESSAGE(text.find(format_text(".SS {}", verb.name)) != std::string::npos, verb.name);
    for (const auto& option : verb.options)
      if (option.name != "help") check(option);
  }
  std::size_t in_page = 0;
  for (auto at = text.find("\n.TP\n"); at != std::string::npos; at = text.find("\n.TP\n", at + 1)) {
    const auto line = text.substr(at + 5, text.find('\n', at + 5) - at - 5);
    if (line.find("--") != std::string::npos) ++in_page;
  }
  CHECK(in_page == options);
}

TEST_CASE("help: options are aligned and name their argument") {
  CHECK(options_help(kSpecs) == "  -a, --all        everything\n  -f, --force      even so\n  -n, --name NAME  its name\n");
  CHECK(program_help().find("run IMAGE [COMMAND...]") != std::string::npos);
  CHECK(verb_help(*find_verb("logs")).find("usage: husk-pod logs [OPTION...] CONTAINER|POD") != std::string::npos);
}

}  // namespace husk::pod
