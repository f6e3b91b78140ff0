#include <algorithm>
#include <cctype>

#include "bench.h"
#include "oci-spec/parse_config.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string to_upper(std::string_view text) {
  std::string upper{text};
  for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

// One line of "options:" in a help text.
struct HelpOption {
  std::string letter;
  std::string name;
  std::string value;  // "" = flag
};

std::vector<HelpOption> options_in(const std::string& help) {
  std::vector<HelpOption> options;
  const auto begin = help.find("\noptions:\n");
  REQUIRE(begin != std::string::npos);
  for (const auto line : split(std::string_view{help}.substr(begin), '\n')) {
    const auto at = line.find("--");
    if (!line.starts_with("  ") || at != 6) continue;
    const auto words = split(line.substr(at + 2), ' ');
    // The text follows at column 31, or after one space where the names are longer.
    const bool has_value = words.size() > 1 && !words[1].empty() && words[1] == to_upper(words[1]);
    options.push_back({.letter = line[2] == '-' ? std::string{line.substr(3, 1)} : "",
                       .name = std::string{words[0]},
                       .value = has_value ? std::string{words[1]} : ""});
  }
  REQUIRE(!options.empty());
  return options;
}

// The verbs that `husk --help` lists; image and pod are programs of their own.
std::vector<std::string> verbs_in(const std::string& help) {
  std::vector<std::string> verbs;
  const auto begin = help.find("\nverbs:\n") + 8;
  for (const auto line : split(std::string_view{help}.substr(begin, help.find("\noptions:\n") - begin), '\n'))
    if (line.starts_with("  ") && line[2] != ' ' && !line.starts_with("  image") && !line.starts_with("  pod"))
      verbs.emplace_back(line.substr(2, line.find(' ', 2) - 2));
  REQUIRE(verbs.size() > 10);
  return verbs;
}

// A manual page as its reader has it: escaped dashes are dashes.
std::string man_page(const std::string& name) {
  const auto text = read_file(source_dir() + "/man/" + name + ".1");
  REQUIRE_OK(text);
  std::string plain;
  for (std::size_t i = 0; i < text.value().size(); ++i)
    if (!(text.value()[i] == '\\' && i + 1 < text.value().size() && text.value()[i + 1] == '-')) plain += text.value()[i];
  return plain;
}

// Every option of the help stands in the page with its letter and value, and no other does.
void check_options(const std::string& page, const std::vector<HelpOption>& options) {
  std::vector<std::string> headings;
  for (const auto& option : options) {
    auto heading = ".BR " + (option.letter.empty() ? "" : "-" + option.letter + " \", \" ") + "--" + option.name;
    if (!option.value.empty()) heading += " \" \" \\fI" + option.value + "\\fR";
    CHECK_MESSAGE(contains(page, "\n" + heading + "\n"), heading);
    headings.push_back(std::move(heading));
  }
  for (const auto line : split(page, '\n'))
    if (line.starts_with(".BR -"))
      CHECK_MESSAGE(std::find(headings.begin(), headings.end(), std::string{line}) != headings.end(), std::string{line});
}

}  // namespace

TEST_CASE("version: the first line is NAME version X, then commit and spec") {
  Bench bench;
  for (const auto* flag : {"--version", "-v", "-V", "-version"}) {
    const auto done = bench.husk({flag});
    CHECK(done.status.code == 0);
    CHECK(done.out.starts_with("husk version "));
    CHECK(contains(done.out, "\ncommit: "));
    CHECK(contains(done.out, "\nspec: 1.3.0\n"));
  }
}

TEST_CASE("husk alone, husk help and husk --usage print the usage, as runc and crun do") {
  Bench bench;
  const auto usage = bench.husk({"--help"}).out;
  for (const auto& words : {std::vector<std::string>{}, {"help"}, {"--usage"}}) {
    const auto done = bench.husk(words);
    CHECK(done.status.code == 0);
    CHECK(done.out == usage);
  }
}

TEST_CASE("husk help VERB and husk VERB --usage are husk VERB --help") {
  Bench bench;
  for (const auto& verb : verbs_in(bench.husk({"--help"}).out)) {
    const auto done = bench.husk({"help", verb});
    CHECK(done.status.code == 0);
    CHECK(done.out == bench.husk({verb, "--help"}).out);
    CHECK(done.out == bench.husk({verb, "--usage"}).out);
  }
  CHECK(contains(bench.husk({"help", "nosuch"}).err, "unknown verb"));
}

TEST_CASE("man pages: one for each verb, and its options, values and summary are those of --help") {
  Bench bench;
  const auto help = bench.husk({"--help"}).out;
  const auto main_page = man_page("husk");
  check_options(main_page, options_in(help));
  for (const auto& verb : verbs_in(help)) {
    CAPTURE(verb);
    CHECK(contains(main_page, ".TP\n.BR husk-" + verb + " (1)\n"));
    const auto see_also = main_page.substr(main_page.find(".SH \"SEE ALSO\""));
    CHECK(contains(see_also, ".BR husk-" + verb + " (1)"));
    const auto own = bench.husk({verb, "--help"});
    CHECK(own.status.code == 0);
    const auto page = man_page("husk-" + verb);
    check_options(page, options_in(own.out));
    const auto parts = split(own.out, '\n');
    REQUIRE(parts.size() > 2);
    CHECK(contains(page, "husk-" + verb + " - " + std::string{parts[2]} + "\n"));
    CHECK(contains(page, ".B " + verb + "\n"));
  }
}

TEST_CASE("options of every verb: --name VALUE, --name=VALUE, -name VALUE, -name=VALUE and letters, also after the id") {
  Bench bench;
  for (const auto& verb : verbs_in(bench.husk({"--help"}).out)) {
    CAPTURE(verb);
    for (const auto& option : options_in(bench.husk({verb, "--help"}).out)) {
      std::vector<std::vector<std::string>> forms;
      if (option.value.empty()) {
        forms = {{"--" + option.name}, {"-" + option.name}, {"--" + option.name + "=true"}};
        if (!option.letter.empty()) forms.push_back({"-" + option.letter});
      } else {
        forms = {{"--" + option.name, "0"}, {"--" + option.name + "=0"}, {"-" + option.name, "0"}, {"-" + option.name + "=0"}};
        if (!option.letter.empty()) forms.insert(forms.end(), {{"-" + option.letter, "0"}, {"-" + option.letter + "0"}});
      }
      for (const auto& form : forms) {
        CAPTURE(form.front());
        // What follows the id belongs to the command of exec, and to ps(1).
        std::vector<std::string> words{verb};
        if (verb != "exec" && verb != "ps" && verb != "list" && verb != "gc") words.emplace_back("web");
        words.insert(words.end(), form.begin(), form.end());
        words.emplace_back("--help");
        const auto done = bench.husk(words);
        CHECK_MESSAGE(done.status.code == 0, done.err);
        CHECK(done.out.starts_with("usage: husk " + verb));
      }
    }
  }
}

TEST_CASE("options: after the id, with =, repeated, and long ones with a single dash") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sleep", "1000"});
  const auto created = bench.husk({"--systemd-cgroup=false", "--log-format", "text", "--log-format=json", "create", bench.id(), "-bundle=" + bundle,
                                   "-no-subreaper", "--no-new-keyring", "-pid-file", bench.path("pid")});
  CHECK_MESSAGE(created.status.code == 0, created.err);
  CHECK(path_exists(bench.path("pid")));
  CHECK(bench.husk({"kill", "--all", bench.id(), "9"}).status.code == 0);
  CHECK(bench.husk({"delete", bench.id(), "--force"}).status.code == 0);
  CHECK(bench.husk({"--rootless", "false", "list"}).status.code == 0);
}

TEST_CASE("--config: create and run read this file instead of the bundle's") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sh", "-c", "echo the bundle"});
  const auto other = bench.shell_bundle("echo another") + "/config.json";
  for (const auto* option : {"--config", "-f"}) {
    const auto done = bench.husk({"run", "-b", bundle, option, other, bench.id()});
    CHECK_MESSAGE(done.out == "another\n", (done.out + done.err));
  }
  CHECK(contains(bench.husk({"create", "-b", bundle, "--config", "/nonexistent", bench.id()}).err, "open(\"/nonexistent\")"));
}

TEST_CASE("spec writes a config that husk accepts, and does not overwrite") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(make_directories(bench.path("s")));
  REQUIRE(bench.husk({"spec", "--bundle", bench.path("s")}).status.code == 0);
  const auto text = read_file(bench.path("s/config.json"));
  REQUIRE_OK(text);
  CHECK_OK(oci::parse_config(text.value()));
  CHECK(bench.husk({"spec", "-b", bench.path("s")}).status.code == 1);
  CHECK(bench.husk({"spec", "-b", bench.path("s"), "--file", "other.json"}).status.code == 0);
  CHECK(read_file(bench.path("s/other.json")).value() == text.value());
  REQUIRE_OK(sys::symlinkat(busybox_rootfs(), AT_FDCWD, bench.path("s/rootfs")));
  const auto plan = bench.husk({"create", "--print-plan", "-b", bench.path("s"), "--console-socket", "/x", bench.id()});
  CHECK_MESSAGE(plan.status.code == 0, plan.err);
  CHECK(contains(plan.out, "mount proc"));
  CHECK(contains(plan.out, "exec sh"));
  // No "exit": the end of the pipe must reach a shell that edits its line, each time.
  for (int i = 0; i < 8; ++i) {
    const auto piped = bench.shell("echo 'echo in $(hostname)' | husk run -b " + bench.path("s") + " " + bench.id());
    CHECK(piped.status.code == 0);
    CHECK_MESSAGE(contains(piped.out, "in husk"), (piped.out + piped.err));
  }
}

TEST_CASE("features.md: one JSON document, pure, with what callers look for") {
  Bench bench;
  const auto done = bench.husk({"features"});
  CHECK(done.status.code == 0);
  CHECK(done.err.empty());
  const auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  CHECK(*json.value().find("ociVersionMax")->as_string() == "1.3.0");
  CHECK(json.value().find("hooks")->as_array()->size() == 6);
  CHECK(contains(done.out, "\"rro\""));
  const auto* extensions = json.value().find("linux")->find("mountExtensions");
  REQUIRE(extensions != nullptr);
  CHECK(*extensions->find("idmap")->find("enabled")->as_boolean());
}

TEST_CASE("features.md: what is said to be supported is not refused as unsupported, and names are those of the parser") {
  REQUIRE_E2E();
  Bench bench;
  const auto json = oci::parse_json(bench.husk({"features"}).out);
  REQUIRE_OK(json);
  const auto& part = *json.value().find("linux");
  for (const auto* name : {"apparmor", "selinux", "intelRdt", "seccomp"}) {
    CAPTURE(name);
    CHECK(*part.find(name)->find("enabled")->as_boolean());
  }
  const auto plan = [&](const Change& change) { return bench.husk({"create", "--print-plan", "-b", bench.bundle({"true"}, change), bench.id()}); };
  const auto everything = plan([](oci::Spec& spec) {
    spec.process->apparmor_profile = spec.process->selinux_label = spec.linux.mount_label = "x";
    spec.linux.intel_rdt = oci::IntelRdt{.clos_id = "/", .schemata = {"L3:0=f"}, .enable_monitoring = true};
  });
  CHECK_MESSAGE(everything.status.code == 0, everything.err);
  for (const auto& mode : *part.find("memoryPolicy")->find("modes")->as_array()) {
    const auto word = *mode.as_string();
    CAPTURE(word);
    const bool without = word == "MPOL_DEFAULT" || word == "MPOL_LOCAL";
    const auto done = plan([&](oci::Spec& spec) { spec.linux.memory_policy = oci::MemoryPolicy{.mode = word, .nodes = without ? "" : "0"}; });
    CHECK_MESSAGE(done.status.code == 0, done.err);
  }
  for (const auto& item : *part.find("capabilities")->as_array()) {
    const auto word = *item.as_string();
    CAPTURE(word);
    CHECK(word.starts_with("CAP_"));
  }
}

TEST_CASE("image and pod verbs run the programs that stand beside husk") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.shell("mkdir " + bench.path("bin") + " && cp " + husk_binary() + " " + bench.path("bin") +
                      "/husk && printf '#!/bin/sh\\necho image \"$@\"; exit 6\\n' > " + bench.path("bin/husk-image") + " && chmod +x " + bench.path("bin/husk-image")).status.code == 0);
  const auto image = run({.path = bench.path("bin/husk"), .arguments = {"husk", "image", "list", "--json"}});
  REQUIRE_OK(image);
  CHECK(image.value().out == "image list --json\n");
  CHECK(image.value().status.code == 6);
  const auto pod = run({.path = bench.path("bin/husk"), .arguments = {"husk", "pod", "ps"}});
  REQUIRE_OK(pod);
  CHECK(pod.value().status.code == 1);
  CHECK(contains(pod.value().err, "husk-pod"));
}
