// `quorate bench`: the load generator and the checker, for any server that speaks etcd's protocol.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench/availability.h"
#include "cli/bench/compare.h"
#include "cli/bench/fill.h"
#include "cli/bench/load.h"
#include "cli/bench/process_usage.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/table.h"

namespace quorate::cli {
namespace {

std::string Number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

double Milliseconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e6;
}

double Mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

const char* NameOf(LoadKind kind) {
  return kind == LoadKind::kPut ? "put" : "get";
}

std::uint64_t CountErrors(const std::map<std::string, std::uint64_t>& errors) {
  std::uint64_t all = 0;
  for (const auto& [kind, count] : errors) all += count;
  return all;
}

JsonObject ToJson(const std::map<std::string, std::uint64_t>& errors) {
  JsonObject out;
  for (const auto& [kind, count] : errors) out.Add(kind, count);
  return out;
}

void AddLoadOptions(CLI::App& command, LoadOptions* load) {
  command.add_option("--inflight", load->inflight, "operations outstanding on each connection")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command.add_option("--seconds", load->seconds, "measured time")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  command.add_option("--warmup", load->warmup_seconds, "time before it that is not measured")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command.add_option("--keys", load->keys, "how many keys are used, uniformly")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  command.add_option("--key-bytes", load->key_bytes, "")->check(CLI::Range(8, 4096))->capture_default_str();
  command.add_option("--value-bytes", load->value_bytes, "")->check(CLI::Range(0, 1 << 20))->capture_default_str();
  command.add_option("--timeout", load->timeout_seconds, "seconds for one operation")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
}

JsonObject ToJson(LoadKind kind, int conns, const LoadReport& report, bool with_servers) {
  JsonObject out;
  out.Add("op", NameOf(kind)).Add("conns", conns).Add("seconds", report.seconds).Add("ops", report.ops);
  out.Add("ops_per_s", report.ops_per_second());
  out.Add("p50_ms", Milliseconds(report.p50_ns)).Add("p90_ms", Milliseconds(report.p90_ns));
  out.Add("p99_ms", Milliseconds(report.p99_ns)).Add("max_ms", Milliseconds(report.max_ns));
  out.Add("error_count", CountErrors(report.errors)).Add("errors", ToJson(report.errors)).Add("wrong", report.wrong);
  out.Add("client_cpu_us_per_op", report.client_cpu_us_per_op());
  out.Add("client_cpu_share", report.client_cpu_seconds / report.seconds);
  if (with_servers) {
    out.Add("server_cpu_us_per_op", report.server_cpu_us_per_op());
    out.Add("server_cpu_share", report.server_cpu_seconds / report.seconds);
    out.Add("server_rss_mib", Mebibytes(report.server_resident_bytes));
  }
  return out.Add("other_cpu_share", report.other_cpu_seconds / report.seconds);
}

void PrintText(LoadKind kind, const LoadOptions& load, const LoadReport& report) {
  std::printf("%s over %d connections, %d in flight on each, %.1f s, %llu keys, values of %zu bytes\n", NameOf(kind),
              load.conns, load.inflight, report.seconds, static_cast<unsigned long long>(load.keys), load.value_bytes);
  std::printf("  %.0f operations/s\n", report.ops_per_second());
  std::printf("  latency  p50 %.3f ms  p90 %.3f ms  p99 %.3f ms  max %.3f ms\n", Milliseconds(report.p50_ns),
              Milliseconds(report.p90_ns), Milliseconds(report.p99_ns), Milliseconds(report.max_ns));
  if (!load.pids.empty()) {
    std::printf("  servers  %.1f us of CPU per operation, %.0f %% of one core, %.1f MiB resident\n",
                report.server_cpu_us_per_op(), 100 * report.server_cpu_seconds / report.seconds,
                Mebibytes(report.server_resident_bytes));
  }
  const double client_share = report.client_cpu_seconds / report.seconds;
  std::printf("  client   %.1f us of CPU per operation, %.0f %% of one core%s; everything else %.0f %%\n",
              report.client_cpu_us_per_op(), 100 * client_share,
              client_share > 0.85 ? " (the client is the limit)" : "", 100 * report.other_cpu_seconds / report.seconds);
  for (const auto& [kind_of_error, count] : report.errors) {
    std::printf("  error    %llu x %s\n", static_cast<unsigned long long>(count), kind_of_error.c_str());
  }
}

struct Load {
  ConnectionArguments connection;
  LoadOptions load;
  std::string pids;
};

int RunOneLoad(const std::string& command, Load& arguments) {
  Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments.connection);
  if (!endpoints.ok()) return FailToRun(command, endpoints.status().message());
  Result<std::vector<int>> pids = ParsePids(arguments.pids);
  if (!pids.ok()) return FailToRun(command, "--pids: " + pids.status().message());
  LoadOptions& load = arguments.load;
  load.endpoints = *std::move(endpoints);
  load.pids = *std::move(pids);
  const Result<LoadReport> report = RunLoad(load);
  if (!report.ok())
    return IsNobodyThere(report.status()) ? Fail(command, report.status())
                                          : FailToRun(command, report.status().message());
  if (arguments.connection.json) {
    std::puts(ToJson(load.kind, load.conns, *report, !load.pids.empty()).Line().c_str());
  } else {
    PrintText(load.kind, load, *report);
  }
  return report->wrong > 0 || report->ops == 0 ? kExitRefused : kExitGood;
}

void AddLoad(CLI::App& bench, LoadKind kind, Action* action) {
  auto arguments = std::make_shared<Load>();
  arguments->load.kind = kind;
  const std::string name = NameOf(kind);
  CLI::App* command =
      bench.add_subcommand(name, kind == LoadKind::kPut ? "Write as fast as the server answers."
                                                        : "Read as fast as the server answers (linearizably).");
  AddEndpointOptions(*command, &arguments->connection);
  command->add_option("--conns", arguments->load.conns, "connections, spread over the endpoints")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  AddLoadOptions(*command, &arguments->load);
  command->add_option("--pids", arguments->pids, "server processes whose CPU and memory are measured, too");
  if (kind == LoadKind::kGet) {
    command->add_flag("--serializable", arguments->load.serializable,
                      "from the asked member's state, which may be behind");
  }
  command->footer(
      "Every connection keeps --inflight operations outstanding (a closed loop: latency hides stalls, see `bench\n"
      "availability` for those). Every answer is checked; exit status 1 when one was wrong or none was good.\n"
      "Writes keys named bench/...: use a server whose data may be thrown away.\n"
      "Example:\n"
      "  quorate bench " +
      name + " --conns 64 --seconds 10 --pids $(pgrep -d, -f 'quorate serve')");
  command->callback(
      [arguments, action, name] { *action = [arguments, name] { return RunOneLoad("bench " + name, *arguments); }; });
}

struct Compare {
  std::vector<std::string> targets;
  std::vector<std::string> ops = {"put", "get"};
  std::vector<int> conns = {1, 64};
  CompareOptions options;
  bool json = false;
};

void PrintCell(const Compare& arguments, const CompareCell& cell, const std::vector<std::vector<LoadReport>>& rounds) {
  const LoadReport& first = MedianRound(rounds[0]);
  Table table({"TARGET", "OPS/S", "RATIO", "P50 MS", "P99 MS", "SERVER CPU US/OP", "RSS MIB", "CLIENT", "OTHER"});
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const CompareTarget& target = arguments.options.targets[i];
    const LoadReport& median = MedianRound(rounds[i]);
    const double ratio = median.ops > 0 ? first.ops_per_second() / median.ops_per_second() : 0;
    if (arguments.json) {
      JsonObject line;
      line.Add("target", target.name).Add("median", ToJson(cell.kind, cell.conns, median, !target.pids.empty()));
      std::vector<JsonObject> all;
      for (const LoadReport& round : rounds[i])
        all.push_back(ToJson(cell.kind, cell.conns, round, !target.pids.empty()));
      line.Add("first_to_this_ratio", ratio).Add("rounds", all);
      std::puts(line.Line().c_str());
    } else {
      const auto share = [&](double seconds) { return Number(100 * seconds / median.seconds, 0) + " %"; };
      table.Add({target.name, Number(median.ops_per_second(), 0), i == 0 ? "-" : Number(ratio, 2) + "x",
                 Number(Milliseconds(median.p50_ns), 3), Number(Milliseconds(median.p99_ns), 3),
                 target.pids.empty() ? "-" : Number(median.server_cpu_us_per_op(), 1),
                 target.pids.empty() ? "-" : Number(Mebibytes(median.server_resident_bytes), 1),
                 share(median.client_cpu_seconds), share(median.other_cpu_seconds)});
    }
  }
  if (!arguments.json) {
    std::printf("%s, %d connections\n%s\n", NameOf(cell.kind), cell.conns, table.Text().c_str());
  }
  std::fflush(stdout);
}

int RunComparison(Compare& arguments) {
  for (const std::string& text : arguments.targets) {
    Result<CompareTarget> target = ParseTarget(text);
    if (!target.ok()) return FailToRun("bench compare", target.status().message());
    arguments.options.targets.push_back(*std::move(target));
  }
  for (const std::string& op : arguments.ops) {
    for (const int conns : arguments.conns) {
      arguments.options.cells.push_back({op == "put" ? LoadKind::kPut : LoadKind::kGet, conns});
    }
  }
  std::uint64_t wrong = 0;
  const Status status = RunCompare(arguments.options, [&](const CompareCell& cell, const auto& rounds) {
    for (const std::vector<LoadReport>& of_target : rounds) {
      for (const LoadReport& round : of_target) wrong += round.wrong + (round.ops == 0 ? 1 : 0);
    }
    PrintCell(arguments, cell, rounds);
  });
  if (!status.ok()) return FailToRun("bench compare", status.message());
  return wrong > 0 ? kExitRefused : kExitGood;
}

void AddCompare(CLI::App& bench, Action* action) {
  auto arguments = std::make_shared<Compare>();
  CLI::App* command = bench.add_subcommand("compare", "The same load on several servers in turn: medians and ratios.");
  command->add_option("--target", arguments->targets, "NAME=host:port,...[@pid,...]; give two or more")
      ->required()
      ->expected(2, 16);
  command->add_option("--ops", arguments->ops, "put,get")
      ->delimiter(',')
      ->check(CLI::IsMember({"put", "get"}))
      ->capture_default_str();
  command->add_option("--conns", arguments->conns, "numbers of connections: 1,64")
      ->delimiter(',')
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--rounds", arguments->options.rounds, "per cell; the median is reported")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "one JSON object per cell and target");
  AddLoadOptions(*command, &arguments->options.load);
  command->footer(
      "RATIO is the first target's throughput against this one's. Rounds alternate between the targets.\n"
      "Example:\n"
      "  quorate bench compare --target quorate=127.0.0.1:2379@4711 --target etcd=127.0.0.1:12379@4712");
  command->callback([arguments, action] { *action = [arguments] { return RunComparison(*arguments); }; });
}

struct Availability {
  ConnectionArguments connection;
  AvailabilityOptions options;
};

JsonObject ToJson(const AvailabilityReport& report) {
  JsonObject out;
  out.Add("op", "availability").Add("acked", report.Count(WriteOutcome::kAcked));
  out.Add("failed", report.Count(WriteOutcome::kFailed)).Add("unknown", report.Count(WriteOutcome::kUnknown));
  out.Add("never_sent", report.Count(WriteOutcome::kNeverSent));
  out.Add("lost", report.lost).Add("stale", report.stale).Add("altered", report.altered);
  out.Add("unverifiable", report.unverifiable).Add("reused_revisions", report.reused_revisions);
  out.Add("order_violations", report.order_violations);
  out.Add("longest_gap_ms", Milliseconds(report.longest_gap_ns));
  if (report.fault_to_end_of_gap_ns) {
    out.Add("fault_to_end_of_gap_ms", Milliseconds(*report.fault_to_end_of_gap_ns));
  }
  std::vector<JsonObject> gaps;
  for (const Gap& gap : report.gaps) {
    JsonObject one;
    one.Add("at_s", Milliseconds(gap.begin_ns - report.begin_ns) / 1000).Add("ms", Milliseconds(gap.length_ns()));
    gaps.push_back(one);
  }
  return out.Add("gaps", gaps).Add("errors", ToJson(report.errors));
}

void PrintText(const AvailabilityReport& report, const AvailabilityOptions& options) {
  const auto count = [&](WriteOutcome outcome) { return static_cast<unsigned long long>(report.Count(outcome)); };
  std::printf("%zu writes due at %.0f a second\n", report.writes.size(), options.rate);
  std::printf("  acknowledged %llu, refused %llu, outcome unknown %llu, never sent %llu\n", count(WriteOutcome::kAcked),
              count(WriteOutcome::kFailed), count(WriteOutcome::kUnknown), count(WriteOutcome::kNeverSent));
  std::printf("  longest time without an acknowledgement %.1f ms; at least %.0f ms: %zu\n",
              Milliseconds(report.longest_gap_ns), options.gap_seconds * 1000, report.gaps.size());
  for (const Gap& gap : report.gaps) {
    std::printf("    at %.3f s: %.1f ms\n", Milliseconds(gap.begin_ns - report.begin_ns) / 1000,
                Milliseconds(gap.length_ns()));
  }
  if (report.fault_to_end_of_gap_ns) {
    std::printf("  from the fault to the next acknowledgement after the longest gap %.1f ms\n",
                Milliseconds(*report.fault_to_end_of_gap_ns));
  }
  for (const auto& [kind, number] : report.errors) {
    std::printf("  error %llu x %s\n", static_cast<unsigned long long>(number), kind.c_str());
  }
  std::printf("  read back: lost %llu, stale %llu, altered %llu, unverifiable %llu\n",
              static_cast<unsigned long long>(report.lost), static_cast<unsigned long long>(report.stale),
              static_cast<unsigned long long>(report.altered), static_cast<unsigned long long>(report.unverifiable));
  std::printf("  revisions: used twice %llu, out of order %llu\n",
              static_cast<unsigned long long>(report.reused_revisions),
              static_cast<unsigned long long>(report.order_violations));
}

int RunAvailabilityCheck(Availability& arguments) {
  Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments.connection);
  if (!endpoints.ok()) return FailToRun("bench availability", endpoints.status().message());
  arguments.options.endpoints = *std::move(endpoints);
  const Result<AvailabilityReport> report = RunAvailability(arguments.options);
  if (!report.ok()) {
    return IsNobodyThere(report.status()) ? Fail("bench availability", report.status())
                                          : FailToRun("bench availability", report.status().message());
  }
  if (arguments.connection.json) {
    std::puts(ToJson(*report).Line().c_str());
  } else {
    PrintText(*report, arguments.options);
  }
  if (!report->good()) return kExitRefused;
  if (report->unverifiable > 0) {
    return FailToRun("bench availability", std::to_string(report->unverifiable) +
                                               " acknowledged writes could not be read back: no healthy cluster for " +
                                               Number(arguments.options.verify_seconds, 0) + " s");
  }
  return kExitGood;
}

void AddAvailability(CLI::App& bench, Action* action) {
  auto arguments = std::make_shared<Availability>();
  AvailabilityOptions& options = arguments->options;
  CLI::App* command = bench.add_subcommand(
      "availability", "Write at a fixed rate to all members while they fail, then read every acknowledged write back.");
  AddEndpointOptions(*command, &arguments->connection);
  command->add_option("--seconds", options.seconds, "how long")->check(CLI::Range(0.1, 86400.0))->capture_default_str();
  command->add_option("--rate", options.rate, "writes a second")
      ->check(CLI::Range(1.0, 100000.0))
      ->capture_default_str();
  command->add_option("--conns", options.conns, "connections, spread over the endpoints; 0 = four for each")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command->add_option("--value-bytes", options.value_bytes, "")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  command->add_option("--timeout", options.timeout_seconds, "seconds after which a write gives its connection up")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
  command
      ->add_option("--verify-wait", options.verify_seconds, "seconds without any answer before reading back gives up")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--fault-at", options.fault_at_seconds, "when --fault-command is run")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command->add_option("--fault-command", options.fault_command, "what breaks something, run by sh");
  command->add_option("--history", options.history_file, "write one line of JSON per operation to this file");
  command->footer(
      "Each write has a key of its own and is sent once. An acknowledged one that linearizable reads never find is "
      "lost;\n"
      "one that only a later read finds was hidden by a stale read. Exit status 1 for either, for a changed value, or "
      "for\n"
      "a revision used twice or out of order; 2 when writes could not be read back.\n"
      "Example:\n"
      "  quorate bench availability --endpoints 127.0.0.1:2379,127.0.0.1:2479,127.0.0.1:2579 --seconds 10 \\\n"
      "    --fault-at 3 --fault-command \"kill -9 $PID\"");
  command->callback([arguments, action] { *action = [arguments] { return RunAvailabilityCheck(*arguments); }; });
}

struct Fill {
  ConnectionArguments connection;
  FillOptions options;
};

int RunFilling(Fill& arguments) {
  Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments.connection);
  if (!endpoints.ok()) return FailToRun("bench fill", endpoints.status().message());
  FillOptions& options = arguments.options;
  options.endpoints = *std::move(endpoints);
  if (!arguments.connection.json) {
    options.progress = [all = options.keys * options.rounds](std::uint64_t puts) {
      std::fprintf(stderr, "%llu of %llu puts\n", static_cast<unsigned long long>(puts),
                   static_cast<unsigned long long>(all));
    };
  }
  const Result<FillReport> report = RunFill(options);
  if (!report.ok()) return Fail("bench fill", report.status());
  if (arguments.connection.json) {
    JsonObject line;
    line.Add("op", "fill").Add("puts", report->puts).Add("revisions", report->revisions);
    line.Add("retries", report->retries).Add("seconds", report->seconds);
    std::puts(line.Line().c_str());
  } else {
    std::printf("%llu puts in %llu transactions, %.1f s\n", static_cast<unsigned long long>(report->puts),
                static_cast<unsigned long long>(report->revisions), report->seconds);
  }
  return kExitGood;
}

void AddFill(CLI::App& bench, Action* action) {
  auto arguments = std::make_shared<Fill>();
  FillOptions& options = arguments->options;
  CLI::App* command = bench.add_subcommand("fill", "Write every key of a set, with values that do not compress.");
  AddEndpointOptions(*command, &arguments->connection);
  command->add_option("--conns", options.conns, "connections")->check(CLI::Range(1, 1000))->capture_default_str();
  command->add_option("--keys", options.keys, "how many")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  command->add_option("--rounds", options.rounds, "how often each is written")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}))
      ->capture_default_str();
  command->add_option("--key-bytes", options.key_bytes, "")->check(CLI::Range(8, 4096))->capture_default_str();
  command->add_option("--value-bytes", options.value_bytes, "")->check(CLI::Range(0, 1 << 20))->capture_default_str();
  command->add_option("--batch", options.batch, "puts to a transaction, which is one revision")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  command->footer(
      "For measurements on much data. Keys are those of `bench put`.\n"
      "Example:\n"
      "  quorate bench fill --keys 1000000 --rounds 2 --value-bytes 1000");
  command->callback([arguments, action] { *action = [arguments] { return RunFilling(*arguments); }; });
}

}  // namespace

void AddBench(CLI::App& app, Action* action) {
  CLI::App* bench = app.add_subcommand("bench", "Load and checks for any server that speaks etcd's protocol.");
  bench->require_subcommand(1);
  AddLoad(*bench, LoadKind::kPut, action);
  AddLoad(*bench, LoadKind::kGet, action);
  AddAvailability(*bench, action);
  AddCompare(*bench, action);
  AddFill(*bench, action);
  bench->footer("`quorate bench COMMAND --help` explains each.");
}

}  // namespace quorate::cli
