// The built-in engine of PodNetwork: bridge, veth, addresses of its own, nf_tables. Read `set_up` first: its
// steps are in the order of enum Step.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "netns/batcher.h"
#include "netns/bridge_config.h"
#include "netns/host_side.h"
#include "netns/pod_network.h"
#include "netns/record_store.h"
#include "netns/ruleset.h"

namespace husk::netns {

// One operation a pod at a time; different pods go on side by side.
class Turns {
 public:
  class Turn {
   public:
    Turn(Turns& turns, std::string id) : turns_{turns}, id_{std::move(id)} {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    Turns& turns_;
    std::string id_;
  };
  Turn take(const std::string& id);  // waits
  bool is_taken(const std::string& id);

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::set<std::string> taken_;
};

class BridgeNetwork final : public PodNetwork {
 public:
  // What set_up does, in this order. A test stops it before each of them.
  enum class Step : std::uint8_t { host, record, open_namespace, link, address, ports, finish };
  using Checkpoint = std::function<Status(Step)>;

  static Result<std::unique_ptr<BridgeNetwork>> create(const BridgeConfig& config, Checkpoint checkpoint = {});

  std::string not_ready_reason() override;
  Result<Attachment> set_up(const PodRequest& request) override;
  Status tear_down(const std::string& pod_id) override;
  Status collect_garbage(const std::vector<std::string>& living) override;
  Result<std::vector<InterfaceStats>> stats(const std::string& netns_path) override;
  Status remove_when_unused() override;

 private:
  struct Sockets {
    netlink::Socket route;
    netlink::Socket netfilter;
  };
  struct Reservation {
    Record record;
    bool is_new = true;
  };
  BridgeNetwork(CheckedConfig config, std::unique_ptr<RecordStore> store, Checkpoint checkpoint);

  static Result<Sockets> open_sockets();
  Status checkpoint(Step step) const { return checkpoint_ ? checkpoint_(step) : ok(); }
  Result<Link> ensure_host(Sockets& sockets);
  Status reinstall_rules(Sockets& sockets, bool only_when_incomplete);
  Result<Reservation> reserve(const PodRequest& request, const std::vector<CheckedPort>& ports);
  Status connect(Sockets& sockets, const Record& record, const Link& bridge, bool is_new);
  Status make_pair(Sockets& sockets, const Record& record, const Link& bridge, const UniqueFd& netns);
  Status configure_pod(netlink::Socket& pod, const Record& record) const;
  Status publish(Sockets& sockets, const Record& record);
  Result<bool> is_connected(Sockets& sockets, const Record& record, const Link& bridge) const;
  Status disconnect(Sockets& sockets, const std::string& pod_id);
  Status disconnect_all(Sockets& sockets, const std::vector<std::string>& pod_ids);
  PublishedPorts published(const Record& record) const;
  Attachment attachment(const Record& record) const;

  const CheckedConfig config_;
  const std::unique_ptr<RecordStore> store_;
  const Checkpoint checkpoint_;
  HostSide host_;
  Ruleset ruleset_;
  Batcher disconnecting_;
  Turns turns_;
};

}  // namespace husk::netns
