#include "cri/user_lookup.h"
#include "harness/harness.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT

namespace {

const UserFiles kFiles{.passwd = "root:x:0:0:root:/root:/bin/sh\n"
                                 "+nis\n"
                                 "# comment\n"
                                 "bad:x:12x:1::/:/bin/sh\n"
                                 "user:x:1000:1001::/home/user:/bin/sh\n"
                                 "4000:x:5000:5000::/home/digits:/bin/sh\n"
                                 "nohome:x:1002:1002::relative:/bin/sh",
                       .group = "root:x:0:\nusers:x:100:user,other\nwheel:x:10:other\nextra:x:50000:user\nbad:x:-1:user\n"};

std::string text_of(const Result<ResolvedUser>& user) {
  if (!user.has_value()) return "error";
  std::vector<std::string> groups;
  for (const auto group : user.value().ids.groups) groups.push_back(std::to_string(group));
  return format_text("{}:{} [{}] {}", user.value().ids.uid, user.value().ids.gid, join(groups, " "), user.value().home);
}

}  // namespace

TEST_CASE("USER of the image: uid, name, uid:gid, name:group; what is unknown is refused") {
  struct Row {
    const char* user;
    const char* expected;
  };
  for (const auto& row : {Row{"", "0:0 [0] /root"}, Row{"user", "1000:1001 [1001 100 50000] /home/user"}, Row{"1000", "1000:1001 [1001 100 50000] /home/user"},
                          Row{"1000:7", "1000:7 [7 100 50000] /home/user"}, Row{"user:wheel", "1000:10 [10 100 50000] /home/user"}, Row{"7:8", "7:8 [8] /"},
                          Row{"4000", "4000:0 [0] /"}, Row{"nohome", "1002:1002 [1002] /"}, Row{"user:", "1000:1001 [1001 100 50000] /home/user"},
                          Row{"nobody", "error"}, Row{"user:nogroup", "error"}, Row{"-1", "error"}, Row{"4294967295", "error"}, Row{"4294967296", "error"},
                          Row{"1:4294967295", "error"}, Row{"1 ", "error"}, Row{"0x10", "error"}, Row{"bad", "error"}}) {
    CAPTURE(row.user);
    CHECK(text_of(find_user({}, row.user, kFiles)) == row.expected);
  }
}

TEST_CASE("CVE-2026-46680: a number is never a name, so that what kubelet took for a user is not root") {
  const UserFiles evil{.passwd = "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\n", .group = "root:x:0:\n2000:x:0:1000\n"};
  CHECK(text_of(find_user({}, "1000", evil)) == "1000:0 [0] /");
  CHECK(text_of(find_user({}, "1000:2000", evil)) == "1000:2000 [2000] /");
  ContainerConfig config;
  config.run_as_username = "1000";
  CHECK(text_of(find_user(config, "", evil)) == "1000:0 [0] /");
}

TEST_CASE("run_as_user, run_as_username and run_as_group come before the image's USER") {
  ContainerConfig config;
  config.run_as_user = 1000;
  CHECK(text_of(find_user(config, "root", kFiles)) == "1000:1001 [1001 100 50000] /home/user");
  config.run_as_group = 6;
  CHECK(text_of(find_user(config, "root", kFiles)) == "1000:6 [6 100 50000] /home/user");
  config.run_as_user = 77;
  CHECK(text_of(find_user(config, "root", kFiles)) == "77:6 [6] /");
  config.run_as_username = "user";
  CHECK(text_of(find_user(config, "root", kFiles)) == "error");
  config.run_as_user.reset();
  CHECK(text_of(find_user(config, "root", kFiles)) == "1000:6 [6 100 50000] /home/user");
  config.run_as_username.clear();
  CHECK(text_of(find_user(config, "root", kFiles)) == "error");
}

TEST_CASE("supplemental groups: Merge adds the image's, Strict does not; the primary group is always there (CVE-2022-36109)") {
  ContainerConfig config;
  config.run_as_username = "user";
  config.supplemental_groups = {9, 100, 9};
  CHECK(text_of(find_user(config, "", kFiles)) == "1000:1001 [1001 9 100 50000] /home/user");
  config.groups_policy = GroupsPolicy::strict;
  CHECK(text_of(find_user(config, "", kFiles)) == "1000:1001 [1001 9 100] /home/user");
}

TEST_CASE("an image without passwd and group files works with numbers; links out of the image stay inside") {
  const husk::test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "etc"));
  const auto root = RootDir::open(directory.path());
  REQUIRE_OK(root);
  auto files = read_user_files(root.value());
  REQUIRE_OK(files);
  CHECK(text_of(find_user({}, "5:6", files.value())) == "5:6 [6] /");
  CHECK(text_of(find_user({}, "root", files.value())) == "error");
  REQUIRE_OK(sys::symlinkat("/etc/shadow-of-the-host", AT_FDCWD, directory / "etc/passwd"));
  files = read_user_files(root.value());
  REQUIRE_OK(files);
  CHECK(files.value().passwd.empty());
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, directory / "etc/group", 0644));
  CHECK_FALSE(read_user_files(root.value()).has_value());
}
