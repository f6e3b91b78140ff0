#include "cgroups/systemd/program/message.h"

#include <charconv>
#include <cstdlib>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cgroups::systemd {
namespace {

// sd-bus answers with a negative errno.
Status check(int result, std::string_view call) {
  if (result >= 0) return ok();
  return sys::last_error(std::string{call}, -result);
}

template <class T>
Status append_number(sd_bus_message* message, char type, T value) {
  return check(sd_bus_message_append_basic(message, type, &value), "sd_bus_message_append_basic");
}

Status append_basic(sd_bus_message* message, char type, const std::string& text) {
  if (type == 's' || type == 'o') return check(sd_bus_message_append_basic(message, type, text.c_str()), "sd_bus_message_append_basic");
  if (type == 'b') return append_number(message, type, text == "true" ? 1 : 0);
  if (type == 'd') return append_number(message, type, std::strtod(text.c_str(), nullptr));
  if (type == 'n' || type == 'i' || type == 'x') {
    const auto number = TRY(parse_int64(text));
    if (type == 'n') return append_number(message, type, static_cast<std::int16_t>(number));
    if (type == 'i') return append_number(message, type, static_cast<std::int32_t>(number));
    return append_number(message, type, number);
  }
  const auto number = TRY(parse_uint64(text));
  if (type == 'y') return append_number(message, type, static_cast<std::uint8_t>(number));
  if (type == 'q') return append_number(message, type, static_cast<std::uint16_t>(number));
  if (type == 'u') return append_number(message, type, static_cast<std::uint32_t>(number));
  if (type == 't') return append_number(message, type, number);
  return Error{Kind::invalid, format_text("unknown D-Bus type {}", type)};
}

// One element of an array, or the whole of a value that is none: a basic type or a structure of them.
Status append_element(sd_bus_message* message, const std::string& signature, const std::vector<std::string>& values,
                      std::size_t& at) {
  const bool is_structure = signature.front() == '(';
  const auto members = is_structure ? signature.substr(1, signature.size() - 2) : signature;
  if (is_structure) TRY(check(sd_bus_message_open_container(message, 'r', members.c_str()), "sd_bus_message_open_container"));
  for (const char type : members) {
    if (at >= values.size()) return Error{Kind::invalid, "a value is missing"};
    TRY(append_basic(message, type, values[at++]));
  }
  if (is_structure) TRY(check(sd_bus_message_close_container(message), "sd_bus_message_close_container"));
  return ok();
}

Status append_bytes(sd_bus_message* message, std::string_view hex) {
  std::vector<unsigned char> bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, bytes[i], 16).ec != std::errc{})
      return Error{Kind::invalid, "malformed bytes"};
  return check(sd_bus_message_append_array(message, 'y', bytes.data(), bytes.size()), "sd_bus_message_append_array");
}

}  // namespace

Status append_value(sd_bus_message* message, const Property& property) {
  const auto& signature = property.signature;
  std::size_t at = 0;
  if (signature.empty()) return Error{Kind::invalid, "the type is missing"};
  if (signature == "ay" && property.values.size() == 1) return append_bytes(message, property.values.front());
  if (signature.front() != 'a') return append_element(message, signature, property.values, at);
  const auto element = signature.substr(1);
  if (element.empty()) return Error{Kind::invalid, "the type is missing"};
  TRY(check(sd_bus_message_open_container(message, 'a', element.c_str()), "sd_bus_message_open_container"));
  while (at < property.values.size()) TRY(append_element(message, element, property.values, at));
  return check(sd_bus_message_close_container(message), "sd_bus_message_close_container");
}

namespace {

Status append_property(sd_bus_message* message, const Property& property) {
  TRY(check(sd_bus_message_open_container(message, 'r', "sv"), "sd_bus_message_open_container"));
  TRY(append_basic(message, 's', property.name));
  TRY(check(sd_bus_message_open_container(message, 'v', property.signature.c_str()), "sd_bus_message_open_container"));
  TRY(append_value(message, property));
  TRY(check(sd_bus_message_close_container(message), "sd_bus_message_close_container"));
  return check(sd_bus_message_close_container(message), "sd_bus_message_close_container");
}

}  // namespace

Status append_properties(sd_bus_message* message, const std::vector<Property>& properties) {
  TRY(check(sd_bus_message_open_container(message, 'a', "(sv)"), "sd_bus_message_open_container"));
  for (const auto& property : properties)
    TRY(append_property(message, property).during(format_text("property {}", property.name)));
  return check(sd_bus_message_close_container(message), "sd_bus_message_close_container");
}

}  // namespace husk::cgroups::systemd
