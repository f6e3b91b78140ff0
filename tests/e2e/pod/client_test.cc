// husk-pod against a living huskd: every verb, for people and as JSON, and its errors.
#include "cell.h"

#include "oci-spec/json.h"

using namespace husk;        // NOLINT: a test
using namespace husk::test;  // NOLINT

namespace {

class Client {
 public:
  explicit Client(const Cell& cell) : cell_{cell} {}
  Output run(std::vector<std::string> words) const {
    words.insert(words.begin(), {program("husk-pod"), "--socket", "unix://" + cell_.socket()});
    return cell_.inside(std::move(words));
  }
  std::string good(const std::vector<std::string>& words) const {
    const auto output = run(words);
    REQUIRE_MESSAGE(output.status.code == 0, join(words, " "), ": ", output.err);
    return output.out;
  }
  oci::Json json(const std::vector<std::string>& words) const {
    auto parsed = oci::parse_json(good(words));
    REQUIRE_OK(parsed);
    return std::move(parsed).value();
  }

 private:
  const Cell& cell_;
};

std::string member(const oci::Json& object, std::string_view key) {
  const auto* found = object.find(key);
  REQUIRE_MESSAGE(found != nullptr, key);
  return found->as_string() != nullptr ? *found->as_string() : found->dump();
}

}  // namespace

TEST_CASE("husk-pod: run, ps, exec, logs, stats, images, info, stop, rm; tables for people, --json for programs") {
  NEED_CELL();
  Cell cell;
  const Client client{cell};
  const auto id = std::string{trim(client.good({"run", "-d", "--name", "web", "--log-dir", cell / "pods", "busybox", "sh", "-c",
                                                "echo ready; exec sleep 1000"}))};
  CHECK(id.size() == 64);
  CHECK(client.good({"ps"}).find("web") != std::string::npos);

  const auto listed = client.json({"ps", "--json"});
  REQUIRE(listed.as_array() != nullptr);
  REQUIRE(listed.as_array()->size() == 1);
  const auto& row = listed.as_array()->front();
  CHECK(member(row, "container_id") == id);
  CHECK(member(row, "pod_name") == "web");
  CHECK(member(row, "name") == "web");
  CHECK(member(row, "state") == "running");
  CHECK(member(row, "pod_state") == "ready");
  CHECK(member(row, "image").find("busybox") != std::string::npos);

  CHECK(client.good({"exec", "web", "echo", "hello"}) == "hello\n");
  const auto failed = client.run({"exec", "web", "sh", "-c", "echo oops >&2; exit 7"});
  CHECK(failed.status.code == 7);
  CHECK(failed.err == "oops\n");
  CHECK(client.good({"logs", "web"}) == "ready\n");

  const auto stats = client.json({"stats", "--json", "web"});
  REQUIRE(stats.as_array() != nullptr);
  REQUIRE(stats.as_array()->size() == 1);
  CHECK(member(stats.as_array()->front(), "container_id") == id);
  const auto images = client.json({"images", "--json"});
  REQUIRE(images.as_array() != nullptr);
  CHECK(member(images.as_array()->front(), "id").starts_with("sha256:"));
  const auto info = client.json({"info", "--json"});
  CHECK(member(info, "name") == "husk");
  CHECK(member(*info.find("conditions")->find("NetworkReady"), "status") == "true");

  client.good({"stop", "-t", "0", "web"});
  const auto stopped = client.json({"ps", "--all", "--json"});
  REQUIRE(stopped.as_array()->size() == 1);
  CHECK(member(stopped.as_array()->front(), "state") == "exited");
  CHECK(client.json({"ps", "--json"}).as_array()->empty());
  client.good({"rm", "web"});
  CHECK(client.json({"ps", "--all", "--json"}).as_array()->empty());
  CHECK(cell.leftovers() == "");
}

TEST_CASE("husk-pod: run follows the output, gives the command's exit code and removes with --rm; logs -f ends with the container") {
  NEED_CELL();
  Cell cell;
  const Client client{cell};
  const auto run = client.run({"run", "--rm", "--log-dir", cell / "pods", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(run.status.code == 3);
  CHECK(run.out == "out\n");
  CHECK(run.err == "err\n");
  client.good({"run", "-d", "--name", "slow", "--log-dir", cell / "pods", "busybox", "sh", "-c", "echo first; sleep 0.3; echo last"});
  CHECK(client.good({"logs", "-f", "slow"}) == "first\nlast\n");
  client.good({"rm", "--force", "slow"});
  CHECK(cell.leftovers() == "");
}

TEST_CASE("husk-pod: errors are one line with what to do, and leave nothing") {
  NEED_CELL();
  Cell cell;
  const Client client{cell};
  const auto is_one_line = [](const std::string& text) { return text.ends_with('\n') && text.find('\n') == text.size() - 1; };
  for (const auto& words : {std::vector<std::string>{"exec", "nobody", "true"}, {"logs", "nobody"}, {"stop", "nobody"}, {"run", "-d", "--log-dir", cell / "pods", "busybox", "/no/such/program"}}) {
    CAPTURE(join(words, " "));
    const auto output = client.run(words);
    CHECK(output.status.code != 0);
    CHECK(output.out == "");
    CHECK_MESSAGE(is_one_line(output.err), output.err);
  }
  client.good({"rm", "--force", "--all"});
  // A name once: afterwards every verb would call it ambiguous.
  client.good({"run", "-d", "--name", "one", "--log-dir", cell / "pods", "busybox", "sleep", "1000"});
  const auto twice = client.run({"run", "-d", "--name", "one", "--log-dir", cell / "pods", "busybox", "true"});
  CHECK(twice.status.code == 125);
  CHECK_MESSAGE(twice.err.find("a pod \"one\" is there") != std::string::npos, twice.err);
  CHECK_MESSAGE(is_one_line(twice.err), twice.err);
  client.good({"run", "-d", "--name", "one", "--namespace", "other", "--log-dir", cell / "pods", "busybox", "true"});
  client.good({"rm", "--force", "--all"});
  const auto typed = client.run({"exec", "-it", "one", "sh"});
  CHECK_MESSAGE(typed.err.find("standard input") != std::string::npos, typed.err);
  // A registry that is not there: the image is asked for, then the reason is told.
  const auto dead = client.run({"run", "--log-dir", cell / "pods", "127.0.0.1:1/none", "true"});
  CHECK(dead.status.code != 0);
  CHECK(dead.out == "");
  CHECK_MESSAGE(dead.err.find("RegistryUnavailable: pull 127.0.0.1:1/none:latest") != std::string::npos, dead.err);
  const auto nobody = cell.inside({program("husk-pod"), "--socket", "unix://" + (cell / "none.sock"), "ps"});
  CHECK(nobody.status.code == 1);
  CHECK(nobody.err.find("huskd") != std::string::npos);
  CHECK(cell.leftovers() == "");
}
