// A bundle for tests: an empty rootfs on disk and a specification with the usual mounts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/process.h"
#include "in_namespace.h"
#include "oci-spec/runtime_spec.h"
#include "rootfs/rootfs.h"

namespace husk::test {

struct Bundle {
  TempDir dir;
  oci::Spec spec;
  rootfs::PlanOptions options;
  Sandbox sandbox;
  std::function<Status()> enter_network = [] { return ok(); };

  Bundle();  // root.path "rootfs", a mount namespace, nothing else
  std::string rootfs() const { return dir / "rootfs"; }
  std::string in_rootfs(const std::string& path) const { return rootfs() + path; }
  std::string host_dir(const std::string& name) const;                              // beside the rootfs
  std::string host_file(const std::string& name, std::string_view text) const;
  void image_dir(const std::string& path) const;                                    // inside the rootfs
  void image_file(const std::string& path, std::string_view text) const;
  void image_link(const std::string& path, const std::string& target) const;
  Bundle& mount(oci::Mount mount);
  Bundle& bind(const std::string& source, const std::string& destination, std::vector<std::string> options);
  Bundle& usual_mounts();    // /proc /dev /dev/pts /dev/shm /dev/mqueue /sys
  Bundle& user_namespace();  // and pid, ipc, network of its own; the rootfs belongs to its root

  // make_plan and prepare as the parent; then in a child with new namespaces: apply, `before_enter`,
  // enter, finish, `inside`. "" or what went wrong.
  using Step = std::function<Status()>;
  using AppliedStep = std::function<Status(const rootfs::Applied&)>;
  std::string run(const Step& inside, const AppliedStep& before_enter = {}) const;
  // The error of make_plan, prepare or apply; "" when all three worked.
  std::string refused() const { return run([] { return ok(); }); }
};

// A process that does `act` again and again, until the end of the scope.
class Neighbour {
 public:
  explicit Neighbour(const std::function<void()>& act);

 private:
  Child child_;  // killed and reaped at the end
};

bool is_empty_dir(const std::string& path);
bool contains(const std::string& text, std::string_view part);
// "ok", or the name of the errno: what a write, a mkdir and so on gave.
std::string outcome(const Status& done);
Status put(const std::string& path, std::string_view text);  // creates or replaces
// The options of the topmost mount on `target`: of the mount and, after " | ", of the file system.
std::string mount_flags(const std::string& target);

}  // namespace husk::test
