#include "bench.h"
#include "oci-spec/parse_config.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr std::array kVerbs{"create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "pause", "resume", "update", "wait", "events", "gc", "spec", "features"};

// "--long" names in a help text.
std::vector<std::string> long_options(const std::string& help) {
  std::vector<std::string> names;
  for (const auto line : split(help, '\n')) {
    const auto at = line.find("--");
    if (at == std::string_view::npos || !line.starts_with("  ")) continue;
    const auto rest = line.substr(at + 2);
    names.emplace_back(rest.substr(0, rest.find_first_of(" ,")));
  }
  return names;
}

}  // namespace

TEST_CASE("version: the first line is NAME version X, then spec") {
  Bench bench;
  for (const auto* flag : {"--version", "-v"}) {
    const auto done = bench.husk({flag});
    CHECK(done.status.code == 0);
    CHECK(done.out.starts_with("husk version "));
    CHECK(contains(done.out, "\nspec: 1.3.0\n"));
  }
}

TEST_CASE("man pages name every option of every verb, as --help does") {
  Bench bench;
  const std::string man = HUSK_SOURCE_DIR "/man/";
  const auto main_page = read_file(man + "husk.1");
  REQUIRE_OK(main_page);
  const auto unescape = [](std::string text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i)
      if (!(text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '-')) plain += text[i];
    return plain;
  };
  const auto main_text = unescape(main_page.value());
  for (const auto& name : long_options(bench.husk({"--help"}).out)) CHECK_MESSAGE(contains(main_text, "--" + name), name);
  for (const std::string verb : kVerbs) {
    CAPTURE(verb);
    const auto help = bench.husk({verb, "--help"});
    CHECK(help.status.code == 0);
    CHECK(contains(main_text, "husk-" + verb));
    const auto page = read_file(man + "husk-" + verb + ".1");
    REQUIRE_OK(page);
    const auto text = unescape(page.value());
    const auto options = long_options(help.out);
    for (const auto& name : options) CHECK_MESSAGE(contains(text, "--" + name), name);
    for (const auto line : split(text, '\n')) {
      const auto at = line.find("--");
      if (!line.starts_with(".BR -") || at == std::string_view::npos) continue;
      const std::string name{line.substr(at + 2, line.find_first_of(" \n", at) - at - 2)};
      CHECK_MESSAGE(std::find(options.begin(), options.end(), name) != options.end(), name);
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

TEST_CASE("spec writes a config that husk accepts, and does not overwrite") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(make_directories(bench.path("s")));
  REQUIRE(bench.husk({"spec", "--bundle", bench.path("s")}).status.code == 0);
  const auto text = read_file(bench.path("s/config.json"));
  REQUIRE_OK(text);
  CHECK_OK(oci::parse_config(text.value()));
  CHECK(bench.husk({"spec", "-b", bench.path("s")}).status.code == 1);
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
