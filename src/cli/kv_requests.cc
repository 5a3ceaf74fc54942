#include "cli/kv_requests.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>
#include <string_view>

namespace quorate::cli {
namespace {

using etcdserverpb::RangeRequest;

const std::map<std::string, RangeRequest::SortOrder> kOrders = {{"ASCEND", RangeRequest::ASCEND},
                                                                {"DESCEND", RangeRequest::DESCEND}};
const std::map<std::string, RangeRequest::SortTarget> kTargets = {{"CREATE", RangeRequest::CREATE},
                                                                  {"KEY", RangeRequest::KEY},
                                                                  {"MODIFY", RangeRequest::MOD},
                                                                  {"VALUE", RangeRequest::VALUE},
                                                                  {"VERSION", RangeRequest::VERSION}};

const CLI::Range kFromZero(std::int64_t{0}, std::int64_t{INT64_MAX});

constexpr std::string_view kEverything("\0", 1);  // as a range's end: from the key on

// The smallest key behind every key that begins with `prefix`.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(kEverything);
  ++prefix.back();
  return prefix;
}

void AddRangeFlags(CLI::App& command, bool* prefix, bool* from_key) {
  command.add_flag("--prefix", *prefix, "every key that begins with KEY");
  command.add_flag("--from-key", *from_key, "every key from KEY on, in byte order");
}

}  // namespace

void AddGetFlags(CLI::App& command, GetArguments* arguments) {
  command.add_option("KEY", arguments->key)->required();
  command.add_option("RANGE_END", arguments->range_end, "with it: every key of [KEY, RANGE_END)");
  AddRangeFlags(command, &arguments->prefix, &arguments->from_key);
  command.add_option("--limit", arguments->limit, "at most so many keys; 0 = no limit")->check(kFromZero);
  command.add_option("--rev", arguments->revision, "as of this revision; 0 = now")->check(kFromZero);
  command.add_flag("--keys-only", arguments->keys_only, "keys without their values");
  command.add_flag("--count-only", arguments->count_only, "only how many keys");
  command.add_option("--order", arguments->order, "ASCEND or DESCEND")
      ->transform(CLI::IsMember(kOrders, CLI::ignore_case));
  command.add_option("--sort-by", arguments->sort_by, "CREATE, KEY, MODIFY, VALUE or VERSION")
      ->transform(CLI::IsMember(kTargets, CLI::ignore_case));
  command.add_flag("--serializable", arguments->serializable, "from the asked member's state, which may be behind");
}

void AddPutFlags(CLI::App& command, PutArguments* arguments) {
  command.add_option("KEY", arguments->key)->required();
  command.add_option("--lease", arguments->lease, "the lease that the key lives by, in hexadecimal");
  command.add_flag("--prev-kv", arguments->prev_kv, "show what was there before");
  command.add_flag("--ignore-value", arguments->ignore_value, "keep the value that is there");
  command.add_flag("--ignore-lease", arguments->ignore_lease, "keep the lease that is there");
}

void AddDeleteFlags(CLI::App& command, DeleteArguments* arguments) {
  command.add_option("KEY", arguments->key)->required();
  command.add_option("RANGE_END", arguments->range_end, "with it: every key of [KEY, RANGE_END)");
  AddRangeFlags(command, &arguments->prefix, &arguments->from_key);
  command.add_flag("--prev-kv", arguments->prev_kv, "show what was deleted");
}

Result<KeyRange> MakeRange(const std::string& key, const std::string& range_end, bool prefix, bool from_key) {
  if (prefix && from_key) return Status::InvalidArgument("--prefix and --from-key exclude each other");
  if (!range_end.empty() && (prefix || from_key)) {
    return Status::InvalidArgument(std::string("RANGE_END and ") + (prefix ? "--prefix" : "--from-key") +
                                   " exclude each other");
  }
  KeyRange range{key, range_end};
  if (prefix) range.end = PrefixEnd(key);
  if (from_key) range.end = kEverything;
  if (key.empty()) {
    if (!prefix && !from_key) return Status::InvalidArgument("KEY is empty; with --prefix it means every key");
    range.key = kEverything;
  }
  return range;
}

Result<RangeRequest> MakeRequest(const GetArguments& arguments) {
  if (arguments.keys_only && arguments.count_only) {
    return Status::InvalidArgument("--keys-only and --count-only exclude each other");
  }
  const Result<KeyRange> range = MakeRange(arguments.key, arguments.range_end, arguments.prefix, arguments.from_key);
  if (!range.ok()) return range.status();
  RangeRequest request;
  request.set_key(range->key);
  request.set_range_end(range->end);
  request.set_limit(arguments.limit);
  request.set_revision(arguments.revision);
  request.set_keys_only(arguments.keys_only);
  request.set_count_only(arguments.count_only);
  request.set_serializable(arguments.serializable);
  if (!arguments.sort_by.empty()) request.set_sort_target(kTargets.at(arguments.sort_by));
  if (!arguments.order.empty()) {
    request.set_sort_order(kOrders.at(arguments.order));
  } else if (!arguments.sort_by.empty()) {
    request.set_sort_order(RangeRequest::ASCEND);
  }
  return request;
}

Result<etcdserverpb::PutRequest> MakeRequest(const PutArguments& arguments) {
  etcdserverpb::PutRequest request;
  request.set_key(arguments.key);
  request.set_prev_kv(arguments.prev_kv);
  request.set_ignore_value(arguments.ignore_value);
  request.set_ignore_lease(arguments.ignore_lease);
  if (!arguments.ignore_value) request.set_value(arguments.value);
  if (arguments.key.empty()) return Status::InvalidArgument("KEY is empty");
  if (arguments.ignore_value && !arguments.value.empty()) {
    return Status::InvalidArgument("--ignore-value and a value exclude each other");
  }
  if (!arguments.lease.empty()) {
    if (arguments.ignore_lease) return Status::InvalidArgument("--ignore-lease and --lease exclude each other");
    std::int64_t lease = 0;
    const char* const end = arguments.lease.data() + arguments.lease.size();
    const auto [stop, error] = std::from_chars(arguments.lease.data(), end, lease, 16);
    if (error != std::errc() || stop != end || lease <= 0) {
      return Status::InvalidArgument("--lease " + arguments.lease + ": expected a lease id in hexadecimal");
    }
    request.set_lease(lease);
  }
  return request;
}

Result<etcdserverpb::DeleteRangeRequest> MakeRequest(const DeleteArguments& arguments) {
  const Result<KeyRange> range = MakeRange(arguments.key, arguments.range_end, arguments.prefix, arguments.from_key);
  if (!range.ok()) return range.status();
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(range->key);
  request.set_range_end(range->end);
  request.set_prev_kv(arguments.prev_kv);
  return request;
}

}  // namespace quorate::cli
