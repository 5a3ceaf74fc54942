#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "cli/commands.h"
#include "server/config.h"
#include "server/config_file.h"
#include "server/node.h"

namespace quorate::cli {
namespace {

struct ServeArguments {
  server::ServeFlags flags;
  std::string config_file;
  std::map<std::string, CLI::Option*> options;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "quorate serve: %s\n", status.message().c_str());
  return 2;
}

// Flags beat environment beats file: CLI11 has read the first two; the file fills what neither gave.
Status FillFromFile(ServeArguments* arguments) {
  if (arguments->config_file.empty()) return Status::Ok();
  const Result<std::map<std::string, std::string>> file = server::LoadConfigFile(arguments->config_file);
  if (!file.ok()) return file.status();
  for (const server::FlagSpec& spec : server::ServeFlagSpecs()) {
    const auto value = file->find(std::string(spec.name));
    if (value == file->end() || arguments->options.at(value->first)->count() > 0) continue;
    arguments->flags.*spec.field = value->second;
  }
  return Status::Ok();
}

int Serve(ServeArguments& arguments) {
  const Status filled = FillFromFile(&arguments);
  if (!filled.ok()) return Fail(filled);
  const Result<server::ServeConfig> config = server::Validate(arguments.flags);
  if (!config.ok()) return Fail(config.status());
  const Status ended = server::RunNode(*config);
  return ended.ok() ? 0 : Fail(ended);
}

std::string EnvironmentName(std::string_view flag) {
  std::string variable = "QUORATE_";
  for (const char c : flag) variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

}  // namespace

void AddServe(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* serve = app.add_subcommand("serve", "Run one member. Without flags: a lone server on 127.0.0.1:2379.");
  for (const server::FlagSpec& spec : server::ServeFlagSpecs()) {
    const std::string name(spec.name);
    arguments->options[name] = serve->add_option("--" + name, arguments->flags.*spec.field, std::string(spec.help))
                                   ->envname(EnvironmentName(spec.name));
  }
  serve->add_flag(
      "--join", arguments->flags.join,
      "join a running cluster, after `quorate member add`; --initial-cluster names its members' peer addresses");
  serve->add_option("--config", arguments->config_file, "a TOML file with these flags")->envname("QUORATE_CONFIG");
  serve->footer(
      "Flags beat environment variables (--data-dir is QUORATE_DATA_DIR) beat the file.\n"
      "A cluster of three, one command on each machine:\n"
      "  quorate serve --name n1 --listen-etcd 10.0.0.1:2379 "
      "--initial-cluster n1=10.0.0.1:2380,n2=10.0.0.2:2380,n3=10.0.0.3:2380");
  serve->callback([arguments, action] { *action = [arguments] { return Serve(*arguments); }; });
}

}  // namespace quorate::cli
