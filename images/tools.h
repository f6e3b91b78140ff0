// What husk-image can do beyond the façade: options of import and commit. The same store, the same
// object; huskd needs only `Images`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "images/images.h"

namespace husk::images {

// Changes to an image's configuration. Absent = as it was; lists add to what is there.
struct ConfigChanges {
  std::optional<std::vector<std::string>> cmd;
  std::optional<std::vector<std::string>> entrypoint;  // also clears an inherited cmd when cmd is absent
  std::vector<std::string> env;                        // "NAME=value"; replaces a variable of that name
  std::optional<std::string> working_dir;
  std::optional<std::string> user;
  std::optional<std::string> stop_signal;
  std::vector<std::string> exposed_ports;              // "80/tcp"
  std::vector<std::string> volumes;
  std::vector<std::pair<std::string, std::string>> labels;
};

struct CommitOptions {
  ConfigChanges changes;
  std::string author;
  std::string comment;
  std::vector<std::string> mount_targets;  // absolute paths inside; see layer_write.h
};

struct View {  // a read-only mount of an image
  std::string key;
  std::string image_id;
};

class ImageTools : public Images {
 public:
  virtual Result<std::string> import_with(const std::string& path, const std::string& name,
                                          const ConfigChanges& changes) = 0;
  virtual Result<std::string> commit_with(const std::string& key, const std::string& name,
                                          const CommitOptions& options) = 0;
  // As prepare_container, for a bundle: container_keys() does not list it, so huskd leaves it alone.
  virtual Result<ContainerRootfs> prepare_bundle(const std::string& key, const std::string& image_id) = 0;
  virtual Result<std::vector<View>> views() = 0;
};
Result<std::unique_ptr<ImageTools>> open_tools(const StoreOptions& options);

}  // namespace husk::images
