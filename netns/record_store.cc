#include "netns/record_store.h"

#include <sys/file.h>

#include <algorithm>
#include <limits>

#include "base/file.h"
#include "base/format.h"
#include "base/ids.h"
#include "base/sys.h"
#include "base/text.h"
#include "oci-spec/json.h"

namespace husk::netns {
namespace {

using oci::Json;
using oci::JsonReader;

constexpr std::string_view kSuffix = ".json";
constexpr std::size_t kMaxRecord = 1U << 20U;

Json print_ports(const std::vector<PortMapping>& ports) {
  auto list = Json::array();
  for (const auto& port : ports) {
    auto one = Json::object();
    one.set("protocol", port.protocol).set("containerPort", std::uint32_t{port.container_port});
    one.set("hostPort", std::uint32_t{port.host_port}).set("hostIP", port.host_ip);
    list.push(std::move(one));
  }
  return list;
}

Result<std::uint16_t> parse_port_number(const JsonReader& port, std::string_view key) {
  const auto member = TRY(port.require(key));
  const auto number = TRY(member.uint64(std::numeric_limits<std::uint16_t>::max()));
  return static_cast<std::uint16_t>(number);
}

Result<std::string> parse_text(const JsonReader& object, std::string_view key) {
  const auto member = TRY(object.require(key));
  return member.string();
}

Result<std::vector<PortMapping>> parse_port_list(const JsonReader& list) {
  std::vector<PortMapping> ports;
  const auto elements = TRY(list.elements());
  for (const auto& element : elements) {
    PortMapping port;
    port.protocol = TRY(parse_text(element, "protocol"));
    port.host_ip = TRY(parse_text(element, "hostIP"));
    port.container_port = TRY(parse_port_number(element, "containerPort"));
    port.host_port = TRY(parse_port_number(element, "hostPort"));
    ports.push_back(std::move(port));
  }
  return ports;
}

}  // namespace

std::string print_record(const Record& record) {
  auto json = Json::object();
  json.set("podId", record.pod_id).set("name", record.name).set("uid", record.uid);
  json.set("netns", record.netns_path).set("offset", record.offset).set("ports", print_ports(record.ports));
  return json.dump() + "\n";
}

Result<Record> parse_record(const std::string& text) {
  const auto json = TRY(oci::parse_json(text));
  const JsonReader root{json};
  TRY(root.expect_object());
  Record record;
  record.pod_id = TRY(parse_text(root, "podId"));
  record.name = TRY(parse_text(root, "name"));
  record.uid = TRY(parse_text(root, "uid"));
  record.netns_path = TRY(parse_text(root, "netns"));
  const auto offset = TRY(root.require("offset"));
  record.offset = TRY(offset.uint32());
  const auto ports = TRY(root.require("ports"));
  record.ports = TRY(parse_port_list(ports));
  return record;
}

Result<std::unique_ptr<RecordStore>> RecordStore::open(const std::string& directory) {
  TRY(make_directories(directory + "/pods", 0700).during("create network state directory"));
  return std::unique_ptr<RecordStore>{new RecordStore{directory}};
}

std::string RecordStore::path_of(const std::string& pod_id) const {
  return format_text("{}/pods/{}{}", directory_, pod_id, kSuffix);
}

std::vector<std::string> RecordStore::broken() const {
  const std::lock_guard guard{mutex_};
  return broken_;
}

Status RecordStore::reload() {
  records_.clear();
  owners_.clear();
  broken_.clear();
  const auto directory = TRY(sys::openat(AT_FDCWD, directory_ + "/pods", O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(directory.get()));
  for (const auto& entry : entries) {
    if (is_temporary(entry.name)) TRY(sys::unlinkat(directory.get(), entry.name));  // of a writer that died: we hold the lock
    if (!entry.name.ends_with(kSuffix)) continue;
    const auto id = entry.name.substr(0, entry.name.size() - kSuffix.size());
    // One that is too large or cannot be read is as broken as one that cannot be parsed: it must not keep every
    // other pod from the network.
    const auto text = read_file_at(directory.get(), entry.name, kMaxRecord);
    auto record = text.has_value() ? parse_record(text.value()) : Result<Record>{text.error()};
    if (!record.has_value() || record.value().pod_id != id) {
      broken_.push_back(id);
      continue;
    }
    owners_.emplace(record.value().offset, id);
    records_.emplace(id, std::move(record).value());
  }
  return ok();
}

Result<RecordStore::Locked> RecordStore::lock() {
  const std::string path = directory_ + "/lock";
  auto file = TRY(sys::openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600).during("lock network records"));
  Locked locked{*this, std::move(file)};
  TRY(sys::flock(locked.file_.get(), LOCK_EX).during("lock network records"));
  TRY(locked.read_header().during("read network records"));
  return locked;
}

// The lock file holds "GENERATION LAST_OFFSET". Whoever is about to change a record counts the generation up
// first, so that every other process sees that its copy is old, even when the writer dies half-way.
Status RecordStore::Locked::read_header() {
  std::array<char, 64> buffer{};
  const auto size = TRY(sys::pread_some(file_.get(), buffer, 0));
  const std::string_view text{buffer.data(), size};
  const auto fields = split(trim(text), ' ');
  std::uint64_t generation = 0;
  if (fields.size() == 2) {
    generation = parse_uint64(fields[0]).has_value() ? parse_uint64(fields[0]).value() : 0;
    if (const auto last = parse_uint64(fields[1]); last.has_value()) store_->last_offset_ = last.value();
  }
  if (generation != 0 && generation == store_->generation_) return ok();
  store_->generation_ = 0;
  TRY(store_->reload());
  store_->generation_ = generation;
  return ok();
}

Status RecordStore::Locked::write_header() {
  const auto next = store_->generation_ + 1;
  // Fixed width: one write replaces all of the old text.
  const auto text = format_text("{:020} {:010}\n", next, store_->last_offset_);
  TRY(sys::pwrite_some(file_.get(), text, 0));
  store_->generation_ = next;
  return ok();
}

const Record* RecordStore::Locked::find(const std::string& pod_id) const {
  const auto found = store_->records_.find(pod_id);
  return found == store_->records_.end() ? nullptr : &found->second;
}

std::optional<std::uint32_t> RecordStore::Locked::find_free_offset(std::uint32_t first, std::uint32_t last) const {
  const auto& owners = store_->owners_;
  const std::uint64_t count = std::uint64_t{last} - first + 1;
  if (last < first) return std::nullopt;
  const auto given = static_cast<std::uint32_t>(std::min<std::uint64_t>(store_->last_offset_, last));
  std::uint32_t candidate = given >= first && given < last ? given + 1 : first;
  for (std::uint64_t tried = 0; tried < count; ++tried) {
    if (!owners.contains(candidate)) return candidate;
    candidate = candidate == last ? first : candidate + 1;
  }
  return std::nullopt;
}

Status RecordStore::Locked::write(const Record& record) {
  store_->last_offset_ = record.offset;
  TRY(write_header());
  // Without fsync: a record describes kernel objects, none of which outlives a power cut.
  TRY(write_atomically(AT_FDCWD, store_->path_of(record.pod_id), print_record(record), 0600)
          .during("write network record"));
  store_->owners_[record.offset] = record.pod_id;
  store_->records_[record.pod_id] = record;
  return ok();
}

Status RecordStore::Locked::remove(const std::string& pod_id) {
  const auto id = TRY(PodId::parse(pod_id));
  const auto found = store_->records_.find(id.text());
  const bool is_broken = std::erase(store_->broken_, id.text()) != 0;
  if (found == store_->records_.end() && !is_broken) return ok();
  TRY(write_header());
  const auto gone = sys::unlinkat(AT_FDCWD, store_->path_of(id.text()));
  if (!gone.has_value() && gone.error().kind() != Kind::not_found)
    return Error{gone.error()}.during("remove network record");
  if (found == store_->records_.end()) return ok();
  store_->owners_.erase(found->second.offset);
  store_->records_.erase(found);
  return ok();
}

}  // namespace husk::netns
