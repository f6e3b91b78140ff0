// What `events` says of linux.intelRdt. Source: runc, types/events.go; kernel Documentation/filesystems/resctrl.rst.
#include <algorithm>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "resctrl.h"

namespace husk::runtime {
namespace {

using oci::Json;

constexpr std::size_t kMaxFile = 1U << 16U;

// "" when absent: statistics show what there is.
std::string text_in(const RootDir& root, const std::string& path) {
  const auto text = root.read_file(path, kMaxFile);
  return text.has_value() ? std::string{trim(text.value())} : "";
}

std::string line_of(const std::string& schemata, std::string_view resource) {
  for (const auto line : split(schemata, '\n'))
    if (trim(line).starts_with(resource)) return std::string{trim(line)};
  return "";
}

void set_text(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) json.set(name, text);
}

// A file that holds one number; the kernel writes "Unavailable" for what it cannot measure now.
void set_number(Json& json, const char* name, const std::string& text) {
  const auto number = parse_uint64(text);
  if (number.has_value()) json.set(name, number.value());
}

Json cache_info(const RootDir& root) {
  auto json = Json::object();
  set_text(json, "cbm_mask", text_in(root, "/info/L3/cbm_mask"));
  for (const auto* name : {"min_cbm_bits", "num_closids"}) set_number(json, name, text_in(root, format_text("/info/L3/{}", name)));
  return json;
}

Json bandwidth_info(const RootDir& root) {
  auto json = Json::object();
  for (const auto* name : {"bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"})
    set_number(json, name, text_in(root, format_text("/info/MB/{}", name)));
  return json;
}

std::vector<std::string> caches_in(int directory) {
  std::vector<std::string> names;
  const auto entries = sys::list_dir(directory);
  if (!entries.has_value()) return names;
  for (const auto& entry : entries.value())
    if (entry.name.starts_with("mon_L3_")) names.push_back(entry.name);
  std::ranges::sort(names);
  return names;
}

// One entry for each cache, in the order of their numbers.
Json measured(const RootDir& root, const std::string& data, const std::vector<std::string>& domains, const std::vector<const char*>& files) {
  auto list = Json::array();
  for (const auto& domain : domains) {
    auto entry = Json::object();
    for (const auto* file : files) set_number(entry, file, text_in(root, format_text("{}/{}/{}", data, domain, file)));
    if (!entry.as_object()->empty()) list.push(std::move(entry));
  }
  return list;
}

}  // namespace

Json Resctrl::statistics(const RdtRecord& record) const {
  auto json = Json::object();
  const auto everywhere = text_in(root_, "/schemata");
  const auto own = text_in(root_, format_text("/{}/schemata", record.group));
  struct Kind {
    const char* resource;
    const char* info;
    const char* root_schema;
    const char* schema;
    Json (*read)(const RootDir&);
  };
  for (const auto& kind : {Kind{"L3:", "l3_cache_info", "l3_cache_schema_root", "l3_cache_schema", cache_info},
                           Kind{"MB:", "mem_bw_info", "mem_bw_schema_root", "mem_bw_schema", bandwidth_info}}) {
    if (line_of(everywhere, kind.resource).empty()) continue;
    json.set(kind.info, kind.read(root_));
    set_text(json, kind.root_schema, line_of(everywhere, kind.resource));
    set_text(json, kind.schema, line_of(own, kind.resource));
  }
  // Without a group of its own for that, the numbers are those of all who share the closID.
  const auto data = format_text("/{}/mon_data", record.monitor.empty() ? record.group : record.monitor);
  const auto directory = find(data.substr(1));
  if (!directory.has_value() || !directory.value().has_value()) return json;
  const auto domains = caches_in(directory.value()->get());
  const auto bandwidth = measured(root_, data, domains, {"mbm_total_bytes", "mbm_local_bytes"});
  const auto occupancy = measured(root_, data, domains, {"llc_occupancy"});
  if (!bandwidth.as_array()->empty()) json.set("mbm_stats", bandwidth);
  if (!occupancy.as_array()->empty()) json.set("cmt_stats", occupancy);
  return json;
}

Json rdt_statistics(const RdtRecord& record) {
  if (record.group.empty()) return Json::object();
  const auto resctrl = Resctrl::open();
  return resctrl.has_value() ? resctrl.value().statistics(record) : Json::object();
}

}  // namespace husk::runtime
