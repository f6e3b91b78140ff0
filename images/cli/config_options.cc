#include "images/cli/config_options.h"

#include <cstdlib>

#include "base/format.h"
#include "base/text.h"
#include "oci-spec/json.h"

namespace husk::images::cli {

Result<std::vector<std::string>> parse_words(const std::string& text) {
  if (trim(text).starts_with('[')) {
    const auto json = TRY(oci::parse_json(text));
    const auto items = TRY(oci::JsonReader{json}.elements());
    std::vector<std::string> words;
    for (const auto& item : items) words.push_back(TRY(item.string()));
    return words;
  }
  const auto words = words_of(text);
  return std::vector<std::string>{words.begin(), words.end()};
}

Result<std::string> check_variable(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == 0 || text.empty()) return Error{Kind::invalid, format_text("the variable {} has no name", quote(text))};
  if (equals != std::string::npos) return text;
  const char* value = std::getenv(text.c_str());
  return text + "=" + (value == nullptr ? "" : value);
}

Result<ConfigChanges> parse_changes(const Parsed& parsed) {
  ConfigChanges changes;
  if (parsed.has("cmd")) changes.cmd = TRY(parse_words(parsed.text("cmd")).during("--cmd"));
  if (parsed.has("entrypoint")) changes.entrypoint = TRY(parse_words(parsed.text("entrypoint")).during("--entrypoint"));
  for (const auto& text : parsed.all("env")) changes.env.push_back(TRY(check_variable(text)));
  if (parsed.has("workdir")) {
    changes.working_dir = parsed.text("workdir");
    if (!changes.working_dir->starts_with('/'))
      return Error{Kind::invalid, format_text("--workdir {} is not an absolute path", quote(*changes.working_dir))};
  }
  if (parsed.has("user")) changes.user = parsed.text("user");
  if (parsed.has("stop-signal")) changes.stop_signal = parsed.text("stop-signal");
  for (auto port : parsed.all("expose")) {
    const auto slash = port.find('/');
    const auto number = parse_uint32(std::string_view{port}.substr(0, slash));
    const auto protocol = slash == std::string::npos ? std::string{"tcp"} : port.substr(slash + 1);
    if (!number.has_value() || number.value() == 0 || number.value() > 65535 ||
        (protocol != "tcp" && protocol != "udp" && protocol != "sctp"))
      return Error{Kind::invalid, format_text("--expose {} is no port", quote(port))}.hint("write 80, 80/tcp or 53/udp");
    changes.exposed_ports.push_back(format_text("{}/{}", number.value(), protocol));
  }
  changes.volumes = parsed.all("volume");
  for (const auto& label : parsed.all("label")) {
    const auto equals = label.find('=');
    if (equals == 0) return Error{Kind::invalid, format_text("--label {} has no key", quote(label))};
    changes.labels.emplace_back(label.substr(0, equals), equals == std::string::npos ? "" : label.substr(equals + 1));
  }
  return changes;
}

}  // namespace husk::images::cli
