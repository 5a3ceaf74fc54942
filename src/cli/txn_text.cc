#include "cli/txn_text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "cli/kv_requests.h"

namespace quorate::cli {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

constexpr std::string_view kBlanks = " \t\r";

std::string_view SkipBlanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlanks), text.size()));
}

std::string_view Trim(std::string_view text) {
  text = SkipBlanks(text);
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// Takes the escape behind a backslash off `rest`.
Result<char> TakeEscape(std::string_view* rest) {
  if (rest->empty()) return Status::InvalidArgument("a backslash at the end");
  const char kind = rest->front();
  rest->remove_prefix(1);
  switch (kind) {
    case '"':
    case '\\':
      return kind;
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x': {
      unsigned value = 0;
      const std::string_view digits = rest->substr(0, 2);
      const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
      if (digits.size() < 2 || error != std::errc() || stop != digits.data() + 2) break;
      rest->remove_prefix(2);
      return static_cast<char>(value);
    }
    default:
      break;
  }
  return Status::InvalidArgument(std::string("unknown escape \\") + kind + "; known are \\\" \\\\ \\n \\r \\t \\xHH");
}

// Takes one word, up to a blank or to a character of `stops` outside of quotes.
Result<std::string> TakeWord(std::string_view* rest, std::string_view stops) {
  std::string word;
  while (!rest->empty() && kBlanks.find(rest->front()) == std::string_view::npos &&
         stops.find(rest->front()) == std::string_view::npos) {
    const char quote = rest->front();
    rest->remove_prefix(1);
    if (quote != '"' && quote != '\'') {
      word += quote;
      continue;
    }
    while (!rest->empty() && rest->front() != quote) {
      char c = rest->front();
      rest->remove_prefix(1);
      if (c == '\\' && quote == '"') {
        const Result<char> escaped = TakeEscape(rest);
        if (!escaped.ok()) return escaped.status();
        c = *escaped;
      }
      word += c;
    }
    if (rest->empty()) return Status::InvalidArgument(std::string("no closing ") + quote);
    rest->remove_prefix(1);
  }
  return word;
}

Status SetNumber(const std::string& text, int base, std::int64_t* number) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  if (error == std::errc() && stop == text.data() + text.size()) return Status::Ok();
  return Status::InvalidArgument("\"" + text + "\" is not a number");
}

Status SetTarget(const std::string& target, const std::string& value, Compare* compare) {
  std::int64_t number = 0;
  if (target == "value" || target == "val") {
    compare->set_target(Compare::VALUE);
    compare->set_value(value);
    return Status::Ok();
  }
  const bool lease = target == "lease";
  if (target == "version" || target == "ver") {
    RETURN_IF_ERROR(SetNumber(value, 10, &number));
    compare->set_target(Compare::VERSION);
    compare->set_version(number);
  } else if (target == "create" || target == "c") {
    RETURN_IF_ERROR(SetNumber(value, 10, &number));
    compare->set_target(Compare::CREATE);
    compare->set_create_revision(number);
  } else if (target == "mod" || target == "m") {
    RETURN_IF_ERROR(SetNumber(value, 10, &number));
    compare->set_target(Compare::MOD);
    compare->set_mod_revision(number);
  } else if (lease) {
    RETURN_IF_ERROR(SetNumber(value, 16, &number));
    compare->set_target(Compare::LEASE);
    compare->set_lease(number);
  } else {
    return Status::InvalidArgument("cannot compare \"" + target +
                                   "\"; known are version, create, mod, value and lease");
  }
  return Status::Ok();
}

// TARGET("KEY") OPERATOR "VALUE"
Status ParseCompare(std::string_view line, Compare* compare) {
  static const std::map<std::string, Compare::CompareResult> kOperators = {
      {"=", Compare::EQUAL}, {"!=", Compare::NOT_EQUAL}, {"<", Compare::LESS}, {">", Compare::GREATER}};
  const Status form = Status::InvalidArgument(
      "expected a compare such as: mod(\"key\") > \"0\"  (a blank line ends the compares, also when there is none)");
  const std::size_t open = line.find('(');
  if (open == std::string_view::npos) return form;
  const std::string target(Trim(line.substr(0, open)));
  std::string_view rest = SkipBlanks(line.substr(open + 1));
  const Result<std::string> key = TakeWord(&rest, ")");
  if (!key.ok()) return key.status();
  rest = SkipBlanks(rest);
  if (!rest.starts_with(')')) return form;
  rest = SkipBlanks(rest.substr(1));
  const std::size_t end = std::min(rest.find_first_not_of("=!<>"), rest.size());
  const auto found = kOperators.find(std::string(rest.substr(0, end)));
  if (found == kOperators.end()) return form;
  rest = SkipBlanks(rest.substr(end));
  const Result<std::string> value = TakeWord(&rest, "");
  if (!value.ok()) return value.status();
  if (!SkipBlanks(rest).empty()) return form;
  if (key->empty()) return Status::InvalidArgument("the key of a compare is empty");
  compare->set_key(*key);
  compare->set_result(found->second);
  return SetTarget(target, *value, compare);
}

// Reads `words` (without the command's name) with `command`'s flags.
Status ParseFlags(CLI::App& command, std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  command.set_help_flag();
  try {
    command.parse(words);
  } catch (const CLI::Error& error) {
    return Status::InvalidArgument(error.what());
  }
  return Status::Ok();
}

Status ParseOperation(std::string_view line, RequestOp* op) {
  Result<std::vector<std::string>> words = SplitWords(line);
  if (!words.ok()) return words.status();
  const std::string name = words->front();
  words->erase(words->begin());
  CLI::App command;
  if (name == "get") {
    GetArguments arguments;
    AddGetFlags(command, &arguments);
    RETURN_IF_ERROR(ParseFlags(command, *words));
    Result<etcdserverpb::RangeRequest> request = MakeRequest(arguments);
    if (!request.ok()) return request.status();
    *op->mutable_request_range() = *std::move(request);
  } else if (name == "put") {
    PutArguments arguments;
    AddPutFlags(command, &arguments);
    CLI::Option* const value = command.add_option("VALUE", arguments.value);
    RETURN_IF_ERROR(ParseFlags(command, *words));
    if (value->count() == 0 && !arguments.ignore_value) return Status::InvalidArgument("put needs a value");
    Result<etcdserverpb::PutRequest> request = MakeRequest(arguments);
    if (!request.ok()) return request.status();
    *op->mutable_request_put() = *std::move(request);
  } else if (name == "del") {
    DeleteArguments arguments;
    AddDeleteFlags(command, &arguments);
    RETURN_IF_ERROR(ParseFlags(command, *words));
    Result<etcdserverpb::DeleteRangeRequest> request = MakeRequest(arguments);
    if (!request.ok()) return request.status();
    *op->mutable_request_delete_range() = *std::move(request);
  } else {
    return Status::InvalidArgument("unknown request \"" + name + "\"; known are get, put and del");
  }
  return Status::Ok();
}

}  // namespace

Result<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  for (line = SkipBlanks(line); !line.empty(); line = SkipBlanks(line)) {
    Result<std::string> word = TakeWord(&line, "");
    if (!word.ok()) return word.status();
    words.push_back(*std::move(word));
  }
  return words;
}

Result<TxnRequest> ParseTxn(std::string_view text) {
  TxnRequest request;
  int part = 0;  // compares, success, failure
  int number = 0;
  while (!text.empty()) {
    const std::size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, newline));
    text.remove_prefix(std::min(newline + 1, text.size()));
    ++number;
    if (line.starts_with('#')) continue;
    Status status;
    if (line.empty()) {
      ++part;
    } else if (part == 0) {
      status = ParseCompare(line, request.add_compare());
    } else if (part <= 2) {
      status = ParseOperation(line, part == 1 ? request.add_success() : request.add_failure());
    } else {
      status = Status::InvalidArgument("more than three parts; a blank line ends a part");
    }
    if (!status.ok()) return Status::InvalidArgument("line " + std::to_string(number) + ": " + status.message());
  }
  if (request.success_size() == 0 && request.failure_size() == 0) {
    return Status::InvalidArgument("no request; the form is: compares, a blank line, requests, a blank line, requests");
  }
  return request;
}

}  // namespace quorate::cli
