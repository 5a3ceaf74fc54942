// `quorate kv`: get, put, del, watch and txn, with etcdctl's flags and output.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/kv_print.h"
#include "cli/kv_requests.h"
#include "cli/txn_text.h"

namespace quorate::cli {
namespace {

std::optional<std::string> ReadStandardInput() {
  std::string all;
  char buffer[64 * 1024];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) all.append(buffer, n);
  if (std::ferror(stdin) != 0) return std::nullopt;
  return all;
}

// Makes the client, makes the call, prints the answer.
template <class Request, class Call>
int Ask(const std::string& command, const ConnectionArguments& connection, const Result<Request>& request,
        const PrintStyle& style, Call call) {
  if (!request.ok()) return FailToRun(command, request.status().message());
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(connection);
  if (!client.ok()) return FailToRun(command, client.status().message());
  const auto response = call(**client, *request);
  if (!response.ok()) return Fail(command, response.status());
  Print(*response, style);
  return std::fflush(stdout) == 0 ? kExitGood : FailToRun(command, "cannot write to standard output");
}

struct Get {
  ConnectionArguments connection;
  GetArguments get;
};

void AddGet(CLI::App& kv, Action* action) {
  auto arguments = std::make_shared<Get>();
  CLI::App* command = kv.add_subcommand("get", "Show a key, or all keys of a range.");
  AddGetFlags(*command, &arguments->get);
  command->add_flag("--print-value-only", arguments->get.print_value_only, "values without their keys");
  AddConnectionOptions(*command, &arguments->connection);
  command->footer(
      "Prints a line with the key and a line with its value. A key that is not there prints nothing and is no "
      "failure.\n"
      "Examples:\n"
      "  quorate kv get greeting\n"
      "  quorate kv get --prefix /services/ --keys-only\n"
      "  quorate kv get --from-key b --limit 10 --sort-by MODIFY --order DESCEND\n"
      "  quorate kv get greeting --json | jq -r '.kvs[0].value'");
  command->callback([arguments, action] {
    *action = [arguments] {
      const GetArguments& get = arguments->get;
      const PrintStyle style{arguments->connection.json, get.keys_only, get.count_only, get.print_value_only};
      return Ask("kv get", arguments->connection, MakeRequest(get), style,
                 [](client::EtcdClient& client, const auto& request) { return client.Range(request); });
    };
  });
}

struct Put {
  ConnectionArguments connection;
  PutArguments put;
  bool value_given = false;
};

void AddPut(CLI::App& kv, Action* action) {
  auto arguments = std::make_shared<Put>();
  CLI::App* command = kv.add_subcommand("put", "Write a key.");
  AddPutFlags(*command, &arguments->put);
  CLI::Option* value = command->add_option("VALUE", arguments->put.value, "taken from standard input when absent");
  AddConnectionOptions(*command, &arguments->connection);
  command->footer(
      "Examples:\n"
      "  quorate kv put greeting hello\n"
      "  quorate kv put config < config.json       the value is every byte of the file\n"
      "  quorate kv put -- greeting --hello        behind -- nothing is a flag\n"
      "  quorate kv put greeting hi --prev-kv");
  command->callback([arguments, action, value] {
    arguments->value_given = value->count() > 0;
    *action = [arguments] {
      PutArguments& put = arguments->put;
      if (!arguments->value_given && !put.ignore_value) {
        std::optional<std::string> input = ReadStandardInput();
        if (!input) return FailToRun("kv put", "cannot read the value from standard input");
        put.value = *std::move(input);
      }
      return Ask("kv put", arguments->connection, MakeRequest(put), {.json = arguments->connection.json},
                 [](client::EtcdClient& client, const auto& request) { return client.Put(request); });
    };
  });
}

struct Delete {
  ConnectionArguments connection;
  DeleteArguments del;
};

void AddDelete(CLI::App& kv, Action* action) {
  auto arguments = std::make_shared<Delete>();
  CLI::App* command = kv.add_subcommand("del", "Delete a key, or all keys of a range.");
  AddDeleteFlags(*command, &arguments->del);
  AddConnectionOptions(*command, &arguments->connection);
  command->footer(
      "Prints how many keys were deleted.\n"
      "Examples:\n"
      "  quorate kv del greeting\n"
      "  quorate kv del --prefix /services/ --prev-kv\n"
      "  quorate kv del \"\" --from-key               everything");
  command->callback([arguments, action] {
    *action = [arguments] {
      return Ask("kv del", arguments->connection, MakeRequest(arguments->del), {.json = arguments->connection.json},
                 [](client::EtcdClient& client, const auto& request) { return client.DeleteRange(request); });
    };
  });
}

struct Watch {
  ConnectionArguments connection;
  std::string key;
  std::string range_end;
  bool prefix = false;
  bool from_key = false;
  std::int64_t revision = 0;
  bool prev_kv = false;
  std::int64_t count = 0;
};

int RunWatch(const Watch& arguments) {
  const Result<KeyRange> range = MakeRange(arguments.key, arguments.range_end, arguments.prefix, arguments.from_key);
  if (!range.ok()) return FailToRun("kv watch", range.status().message());
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments.connection);
  if (!client.ok()) return FailToRun("kv watch", client.status().message());
  etcdserverpb::WatchCreateRequest create;
  create.set_key(range->key);
  create.set_range_end(range->end);
  create.set_start_revision(arguments.revision);
  create.set_prev_kv(arguments.prev_kv);
  // Every event is flushed when it is printed, so Ctrl-C may end the process at any point.
  std::signal(SIGINT, [](int) { ::_exit(kExitGood); });
  std::int64_t left = arguments.count;
  bool written = true;
  const Status ended = (*client)->Watch(create, [&](const etcdserverpb::WatchResponse& response) {
    for (const mvccpb::Event& event : response.events()) {
      Print(event, {.json = arguments.connection.json});
      if (arguments.count > 0 && --left == 0) break;
    }
    written = std::fflush(stdout) == 0;
    return written && (arguments.count == 0 || left > 0);
  });
  if (!written) return FailToRun("kv watch", "cannot write to standard output");
  return ended.ok() ? kExitGood : Fail("kv watch", ended);
}

void AddWatch(CLI::App& kv, Action* action) {
  auto arguments = std::make_shared<Watch>();
  CLI::App* command = kv.add_subcommand("watch", "Show every change of a key or of a range as it happens.");
  command->add_option("KEY", arguments->key)->required();
  command->add_option("RANGE_END", arguments->range_end, "with it: every key of [KEY, RANGE_END)");
  command->add_flag("--prefix", arguments->prefix, "every key that begins with KEY");
  command->add_flag("--from-key", arguments->from_key, "every key from KEY on, in byte order");
  command->add_option("--rev", arguments->revision, "begin with this revision's changes; 0 = from now on")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{INT64_MAX}));
  command->add_flag("--prev-kv", arguments->prev_kv, "show what was there before, too");
  command->add_option("--count", arguments->count, "stop after so many events; 0 = at Ctrl-C")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{INT64_MAX}));
  AddConnectionOptions(*command, &arguments->connection);
  command->footer(
      "Prints PUT or DELETE, the key and the value. A member that is lost is replaced by another without missing a\n"
      "change; it ends when none is reached for --timeout.\n"
      "Examples:\n"
      "  quorate kv watch greeting\n"
      "  quorate kv watch --prefix /services/ --json\n"
      "  quorate kv watch greeting --rev 1 --count 1          its first write, if that is not compacted");
  command->callback([arguments, action] { *action = [arguments] { return RunWatch(*arguments); }; });
}

void AddTxn(CLI::App& kv, Action* action) {
  auto arguments = std::make_shared<ConnectionArguments>();
  CLI::App* command =
      kv.add_subcommand("txn", "Compare, then write and read, in one atomic step. Read from standard input.");
  AddConnectionOptions(*command, arguments.get());
  command->footer(
      "Three parts, each ended by a blank line: compares, requests for when all hold, requests for when one does not.\n"
      "Compares: version|create|mod|value|lease(\"KEY\") =|!=|<|> \"VALUE\". Requests: get, put, del with their "
      "flags.\n"
      "\"...\" knows \\\" \\\\ \\n \\t \\xHH. Prints SUCCESS or FAILURE (which requests ran) and their answers; both "
      "exit 0.\n"
      "Example: write it only if it is not there\n"
      "  quorate kv txn <<'END'\n"
      "  create(\"greeting\") = \"0\"\n"
      "\n"
      "  put greeting \"good morning\"\n"
      "\n"
      "  get greeting\n"
      "  END");
  command->callback([arguments, action] {
    *action = [arguments] {
      const std::optional<std::string> input = ReadStandardInput();
      if (!input) return FailToRun("kv txn", "cannot read the transaction from standard input");
      return Ask("kv txn", *arguments, ParseTxn(*input), {.json = arguments->json},
                 [](client::EtcdClient& client, const auto& request) { return client.Txn(request); });
    };
  });
}

}  // namespace

void AddKv(CLI::App& app, Action* action) {
  CLI::App* kv = app.add_subcommand("kv", "Read, write and watch keys.");
  kv->require_subcommand(1);
  AddGet(*kv, action);
  AddPut(*kv, action);
  AddDelete(*kv, action);
  AddWatch(*kv, action);
  AddTxn(*kv, action);
  kv->footer(
      "Examples:\n"
      "  quorate kv put greeting hello\n"
      "  quorate kv get greeting\n"
      "  quorate kv watch --prefix \"\"\n"
      "`quorate kv COMMAND --help` explains each.");
}

}  // namespace quorate::cli
