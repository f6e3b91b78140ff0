#include "criu/request.h"

#include <array>

#include "oci-spec/json.h"

namespace husk::criu {
namespace {

using oci::Json;
using oci::JsonReader;

template <class T>
struct Field {
  const char* name;
  T Request::*member;
};
constexpr std::array kTexts{Field<std::string>{"action", &Request::action},
                            Field<std::string>{"root", &Request::root},
                            Field<std::string>{"logFile", &Request::log_file},
                            Field<std::string>{"logPath", &Request::log_path},
                            Field<std::string>{"cgroupMode", &Request::cgroup_mode},
                            Field<std::string>{"freezeCgroup", &Request::freeze_cgroup},
                            Field<std::string>{"parent", &Request::parent},
                            Field<std::string>{"configFile", &Request::config_file},
                            Field<std::string>{"networkLock", &Request::network_lock},
                            Field<std::string>{"lsmProfile", &Request::lsm_profile},
                            Field<std::string>{"savedLabel", &Request::saved_label},
                            Field<std::string>{"lsmMountContext", &Request::lsm_mount_context},
                            Field<std::string>{"pageServerAddress", &Request::page_server_address}};
constexpr std::array kNumbers{Field<int>{"pid", &Request::pid},
                              Field<int>{"imagesFd", &Request::images_fd},
                              Field<int>{"workFd", &Request::work_fd},
                              Field<int>{"statusFd", &Request::status_fd},
                              Field<int>{"pageServerPort", &Request::page_server_port},
                              Field<int>{"emptyNamespaces", &Request::empty_namespaces}};
constexpr std::array kFlags{Field<bool>{"leaveRunning", &Request::leave_running},
                            Field<bool>{"extUnixSk", &Request::ext_unix_sk},
                            Field<bool>{"tcpEstablished", &Request::tcp_established},
                            Field<bool>{"tcpClose", &Request::tcp_close},
                            Field<bool>{"tcpSkipInFlight", &Request::tcp_skip_in_flight},
                            Field<bool>{"shellJob", &Request::shell_job},
                            Field<bool>{"fileLocks", &Request::file_locks},
                            Field<bool>{"linkRemap", &Request::link_remap},
                            Field<bool>{"lazyPages", &Request::lazy_pages},
                            Field<bool>{"autoDedup", &Request::auto_dedup},
                            Field<bool>{"trackMemory", &Request::track_memory},
                            Field<bool>{"needsLabel", &Request::needs_label},
                            Field<bool>{"inOwnCgroup", &Request::in_own_cgroup}};

constexpr std::int64_t kLowest = -1;
constexpr std::int64_t kHighest = 0x7fffffff;

Json list_of(const Pairs& pairs) {
  auto list = Json::array();
  for (const auto& [first, second] : pairs) list.push(Json{std::vector<std::string>{first, second}});
  return list;
}

Result<Pairs> pairs_in(const JsonReader& reader, std::string_view key) {
  const auto member = TRY(reader.require(key));
  Pairs pairs;
  for (const auto& item : TRY(member.elements())) {
    const auto words = TRY(item.strings());
    if (words.size() != 2) return item.error("must be two texts");
    pairs.emplace_back(words[0], words[1]);
  }
  return pairs;
}

Result<std::string> text_in(const JsonReader& reader, const char* key) {
  const auto member = TRY(reader.require(key));
  return member.string();
}

Result<std::vector<InheritedFd>> inherited_in(const JsonReader& reader) {
  const auto member = TRY(reader.require("inherited"));
  std::vector<InheritedFd> found;
  for (const auto& item : TRY(member.elements())) {
    const auto fd = TRY(item.require("fd"));
    InheritedFd one{.key = TRY(text_in(item, "key"))};
    one.fd = static_cast<int>(TRY(fd.int64(0, kHighest)));
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace

std::string write_request(const Request& request) {
  auto json = Json::object();
  for (const auto& field : kTexts) json.set(field.name, request.*field.member);
  for (const auto& field : kNumbers) json.set(field.name, request.*field.member);
  for (const auto& field : kFlags) json.set(field.name, request.*field.member);
  json.set("mounts", list_of(request.mounts)).set("externals", Json{request.externals});
  auto inherited = Json::array();
  for (const auto& item : request.inherited) inherited.push(Json::object().set("key", item.key).set("fd", item.fd));
  json.set("inherited", std::move(inherited)).set("joined", list_of(request.joined));
  return json.dump();
}

Result<Request> parse_request(std::string_view text) {
  const auto json = TRY(oci::parse_json(text));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  Request request;
  for (const auto& field : kTexts) request.*field.member = TRY(text_in(reader, field.name));
  for (const auto& field : kNumbers) {
    const auto member = TRY(reader.require(field.name));
    request.*field.member = static_cast<int>(TRY(member.int64(kLowest, kHighest)));
  }
  for (const auto& field : kFlags) {
    const auto member = TRY(reader.require(field.name));
    request.*field.member = TRY(member.boolean());
  }
  request.mounts = TRY(pairs_in(reader, "mounts"));
  request.joined = TRY(pairs_in(reader, "joined"));
  request.externals = TRY(reader.find_strings("externals"));
  request.inherited = TRY(inherited_in(reader));
  return request;
}

std::string write_event(const Event& event) {
  auto json = Json::object();
  json.set("kind", event.kind).set("script", event.script).set("pid", event.pid);
  json.set("text", event.text).set("hint", event.hint);
  return json.dump();
}

Result<Event> parse_event(std::string_view text) {
  const auto json = TRY(oci::parse_json(text));
  const JsonReader reader{json};
  Event event;
  event.kind = TRY(text_in(reader, "kind"));
  event.script = TRY(text_in(reader, "script"));
  const auto pid = TRY(reader.require("pid"));
  event.pid = static_cast<int>(TRY(pid.int64(0, kHighest)));
  event.text = TRY(text_in(reader, "text"));
  event.hint = TRY(text_in(reader, "hint"));
  return event;
}

}  // namespace husk::criu
