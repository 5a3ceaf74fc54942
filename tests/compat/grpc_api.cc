// What etcdctl cannot say, said with gRPC C++'s client: `grpc_api ENDPOINT[,ENDPOINT...]` prints a transcript of every
// case. grpc_api_test.py runs it against Quorate and etcd, both started empty, and compares what it prints.
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "grpc_api_client.h"

namespace quorate::compat {
namespace {

// Requests are written as text: the cases then read like the transcript.
template <class Request>
Request Of(const std::string& text) {
  Request request;
  if (!google::protobuf::TextFormat::ParseFromString(text, &request)) std::abort();
  return request;
}
etcdserverpb::RangeRequest Range(const std::string& text) {
  return Of<etcdserverpb::RangeRequest>(text);
}
etcdserverpb::PutRequest Put(const std::string& text) {
  return Of<etcdserverpb::PutRequest>(text);
}
etcdserverpb::DeleteRangeRequest Delete(const std::string& text) {
  return Of<etcdserverpb::DeleteRangeRequest>(text);
}
etcdserverpb::TxnRequest Txn(const std::string& text) {
  return Of<etcdserverpb::TxnRequest>(text);
}
etcdserverpb::WatchCreateRequest Watch(const std::string& text) {
  return Of<etcdserverpb::WatchCreateRequest>(text);
}

std::string Number(std::int64_t number) {
  return std::to_string(number);
}

void FiveKeys(Api& api) {
  for (const char* key : {"a", "b", "c", "d", "e"}) api.PutQuietly(key, std::string("value ") + key);
  for (const char* key : {"d", "b", "d"}) api.PutQuietly(key, std::string("newer ") + key);
}

void RangesCountAndFilter(Api& api) {
  const std::int64_t start = api.Revision();
  FiveKeys(api);
  const std::string all = "key: 'a' range_end: 'f' ";
  for (const char* more : {"count_only: true", "count_only: true limit: 2", "keys_only: true limit: 2", "limit: 5",
                           "limit: 6", "limit: 4", "limit: -1", "serializable: false revision: -5"}) {
    api.Range(Range(all + more));
  }
  for (const char* field : {"min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"}) {
    for (const std::int64_t at : {start + 3, start + 6}) {
      api.Range(Range(all + "keys_only: true " + field + ": " + Number(at)));
      api.Range(Range(all + "keys_only: true limit: 2 " + field + ": " + Number(at)));
      api.Range(Range(all + "count_only: true " + field + ": " + Number(at)));
    }
  }
  api.Range(Range(all + "min_mod_revision: " + Number(start + 4) + " max_mod_revision: " + Number(start + 6)));
  api.Range(Range(all + "limit: 2 revision: " + Number(start + 3)));
  api.Range(Range("key: '\\000' range_end: '\\000' keys_only: true"));
  api.Range(Range("key: 'c' range_end: '\\000' keys_only: true"));
  api.Range(Range("range_end: 'c'"));
  api.Range(Range("key: 'e' range_end: 'a'"));
}

void RangesSort(Api& api) {
  FiveKeys(api);
  for (const char* target : {"KEY", "VERSION", "CREATE", "MOD", "VALUE"}) {
    for (const char* order : {"NONE", "ASCEND", "DESCEND"}) {
      const std::string sorted = std::string("key: 'a' range_end: 'f' keys_only: true sort_target: ") + target;
      api.Range(Range(sorted + " sort_order: " + order));
      api.Range(Range(sorted + " limit: 3 sort_order: " + order));
    }
  }
}

void PutsThatAreRefused(Api& api) {
  api.Put(Put("value: 'no key'"));
  api.Put(Put("key: 'p' value: 'v' lease: 12345"));
  api.Put(Put("key: 'p' value: 'v' lease: -1"));
  api.Put(Put("key: 'p' ignore_value: true"));
  api.Put(Put("key: 'p' value: 'v' ignore_value: true"));
  api.Put(Put("key: 'p' value: 'v' lease: 7 ignore_lease: true"));
  api.Put(Put("key: 'p' ignore_lease: true ignore_value: true"));
  api.Put(Put("key: 'p' value: 'v' prev_kv: true"));
  api.Put(Put("key: 'p' ignore_lease: true ignore_value: true prev_kv: true"));
  api.Delete(Delete("prev_kv: true"));
  api.Delete(Delete("key: 'z' range_end: 'a'"));
  api.Delete(Delete("key: 'p' range_end: '\\000' prev_kv: true"));
}

void TransactionsNest(Api& api) {
  api.PutQuietly("n", "1");
  const std::string inner =
      "request_txn { compare { key: 'n' target: VALUE value: '1' } "
      "success { request_put { key: 'in' value: 'then' } } success { request_range { key: 'in' } } "
      "failure { request_put { key: 'in' value: 'otherwise' } } }";
  api.Txn(Txn("success { " + inner + " } success { request_range { key: 'in' } }"));
  // The inner comparison sees the state before the transaction, whatever the outer one wrote.
  api.Txn(Txn("success { request_put { key: 'n' value: '2' } } success { " + inner + " }"));
  api.Txn(Txn("success { " + inner + " }"));
  api.Txn(Txn(
      "success { request_txn { success { request_txn { success { request_put { key: 'deep' value: 'x' } } } } } }"));
  api.Txn(Txn("success { request_txn { success { request_range { key: 'n' } } } }"));
  api.Txn(Txn("success { request_txn { } }"));
  api.Txn(Txn("success { request_put { key: 'x' } } success { request_txn { success { request_put { key: 'x' } } } }"));
  api.Txn(Txn("success { request_txn { success { request_put { key: 'x' } } failure { request_put { key: 'x' } } } }"));
  api.Txn(
      Txn("success { request_txn { success { request_put { key: 'x' } } } } "
          "success { request_delete_range { key: 'w' range_end: 'z' } }"));
  api.Txn(Txn("success { request_txn { success { request_put { } } } }"));
  api.Txn(Txn("success { request_txn { compare { target: MOD } } }"));
  api.Txn(Txn("success { }"));
  api.Txn(Txn("success { request_txn { success { request_range { key: 'n' revision: 99999999 } } } }"));
  api.Txn(Txn("success { request_put { key: 'y' } } success { request_range { key: 'n' revision: -1 } }"));
  api.Txn(Txn("success { request_put { key: 'y' } } success { request_range { key: 'n' revision: -2 } }"));
  api.Range(Range("key: '\\000' range_end: '\\000'"));
}

void NestedOperationsAreCounted(Api& api) {
  etcdserverpb::TxnRequest txn;
  auto* inner = txn.add_success()->mutable_request_txn();
  for (int i = 0; i < 127; ++i) inner->add_success()->mutable_request_put()->set_key("many" + Number(i));
  api.Txn(txn);
  inner->add_success()->mutable_request_put()->set_key("many127");
  api.Txn(txn);
  inner->add_success()->mutable_request_put()->set_key("many128");
  api.Txn(txn);
}

void ComparesOfRangesAndLeases(Api& api) {
  FiveKeys(api);
  api.Grant(0x51, 600);
  api.PutQuietly("leased", "x", 0x51);
  const auto compare = [&api](const std::string& text) {
    api.Txn(Txn("compare { " + text + " } failure { request_range { key: 'a' keys_only: true } }"));
  };
  compare("key: 'a' range_end: 'f' target: VERSION result: GREATER version: 0");
  compare("key: 'a' range_end: 'f' target: VERSION result: EQUAL version: 1");
  compare("key: 'x' range_end: 'z' target: VERSION result: EQUAL version: 99");
  compare("key: 'x' range_end: 'z' target: VALUE result: EQUAL value: 'v'");
  compare("key: 'a' range_end: '\\000' target: CREATE result: GREATER create_revision: 0");
  for (const char* result : {"EQUAL", "GREATER", "LESS", "NOT_EQUAL"}) {
    for (const char* lease : {"0", "80", "81", "82"}) {
      compare(std::string("key: 'leased' target: LEASE result: ") + result + " lease: " + lease);
    }
    compare(std::string("key: 'absent' target: LEASE lease: 0 result: ") + result);
    compare(std::string("key: 'absent' target: VALUE value: '' result: ") + result);
  }
  compare("target: MOD mod_revision: 0");
  compare("key: 'a' target: MOD");
  api.Revoke(0x51);
}

void RequestsAreLimited(Api& api) {
  etcdserverpb::PutRequest put = Put("key: 'large'");
  for (const std::size_t size : {1'400'000, 1'600'000, 2'000'000, 2'200'000}) {
    put.set_value(std::string(size, 'x'));
    api.Put(put);
  }
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 4; ++i) {
    auto* each = txn.add_success()->mutable_request_put();
    each->set_key("large" + Number(i));
    each->set_value(std::string(450'000, 'x'));
  }
  api.Txn(txn);
  api.Delete(Delete("key: 'large' range_end: 'm'"));
}

void Compactions(Api& api) {
  const std::int64_t start = api.Revision();
  for (int i = 0; i < 5; ++i) api.PutQuietly("compacted", Number(i));
  api.Compact(start + 3);
  api.Range(Range("key: 'compacted' revision: " + Number(start + 2)));
  api.Range(Range("key: 'compacted' revision: " + Number(start + 3)));
  api.Range(Range("key: 'compacted' count_only: true revision: " + Number(start + 2)));
  api.Compact(start + 3);
  api.Compact(start + 6);
  api.Compact(-1);
  WatchSession watch(api.NextUpToDate());
  watch.Create(Watch("key: 'compacted' start_revision: " + Number(start + 2)));
  watch.Show(2);
  watch.Create(Watch("key: 'compacted' prev_kv: true start_revision: " + Number(start + 3)));
  watch.ShowEvents(3);
}

void WatchIds(Api& api) {
  WatchSession watch(api.NextUpToDate());
  watch.Create(Watch("key: 'w'"));
  watch.Show(1);
  watch.Create(Watch("key: 'w' watch_id: 7"));
  watch.Show(1);
  watch.Create(Watch("key: 'w' watch_id: 7"));
  watch.Show(1);
  watch.Create(Watch("key: 'w'"));
  watch.Show(1);
  watch.Create(Watch("key: 'w' watch_id: 2"));
  watch.Show(1);
  watch.Create(Watch("key: 'w'"));
  watch.Show(1);
  watch.Create(Watch("key: 'x' range_end: 'a'"));
  watch.Show(1);
  watch.Cancel(7);
  watch.Show(1);
  watch.Cancel(99);  // silently
  watch.Create(Watch("key: 'other'"));
  watch.Show(1);
}

void WatchFilters(Api& api) {
  const std::int64_t start = api.Revision();
  api.PutQuietly("f", "1");
  api.Delete(Delete("key: 'f'"));
  api.PutQuietly("f", "2");
  api.Delete(Delete("key: 'f'"));
  for (const char* filters : {"filters: NOPUT", "filters: NODELETE", "filters: NODELETE filters: NODELETE"}) {
    WatchSession watch(api.NextUpToDate());
    watch.Create(Watch("key: 'f' prev_kv: true " + std::string(filters) + " start_revision: " + Number(start + 1)));
    watch.ShowEvents(2);
  }
  WatchSession none(api.NextUpToDate());
  none.Create(Watch("key: 'f' filters: NOPUT filters: NODELETE start_revision: " + Number(start + 1)));
  none.Show(1);
}

void WatchEverything(Api& api) {
  WatchSession watch(api.NextUpToDate());
  watch.Create(Watch("range_end: '\\000'"));  // no key: from the smallest
  watch.Show(1);
  watch.Create(Watch("key: 'm' range_end: '\\000'"));
  watch.Show(1);
  api.PutQuietly("a", "1");
  watch.ShowEvents(1);
  api.PutQuietly("z", "1");
  etcdserverpb::WatchResponse response;
  std::set<std::string> seen;
  for (int i = 0; i < 2 && watch.Read(&response); ++i) seen.insert(Short(response));
  for (const std::string& each : seen) Print("  " + each);
}

void WatchProgress(Api& api) {
  WatchSession watch(api.NextUpToDate());
  watch.Create(Watch("key: 'progress'"));
  watch.Show(1);
  watch.Create(Watch("key: 'progress too'"));
  watch.Show(1);
  watch.Progress();
  watch.Show(1);
  api.PutQuietly("progress", "1");
  watch.ShowEvents(1);
  watch.Progress();
  watch.Show(1);
  watch.Cancel(0);
  watch.Show(1);
  api.PutQuietly("progress", "not seen");
  api.PutQuietly("progress too", "seen");
  watch.ShowEvents(1);
}

void WatchFragments(Api& api) {
  const std::int64_t start = api.Revision();
  for (int i = 0; i < 5; ++i) api.PutQuietly("fragment" + Number(i), std::string(900'000, 'x'));
  for (const bool fragment : {false, true}) {
    WatchSession watch(api.NextUpToDate());
    auto request = Watch("key: 'fragment' range_end: 'g' start_revision: " + Number(start + 1));
    request.set_fragment(fragment);
    watch.Create(request);
    watch.Show(1);
    int events = 0;
    bool small = true;
    etcdserverpb::WatchResponse response;
    while (events < 5 && watch.Read(&response)) {
      events += response.events_size();
      small = small && response.events_size() <= 2;
      if (events == 5) Print(std::string("  the last is marked: ") + (response.fragment() ? "yes" : "no"));
    }
    if (fragment) Print(std::string("  events of at most 2 MiB a message: ") + (small ? "yes" : "no"));
  }
  api.Delete(Delete("key: 'fragment' range_end: 'g'"));
}

void ManyWatchesOnOneStream(Api& api) {
  constexpr int kWatches = 300;
  WatchSession watch(api.NextUpToDate(), true);
  for (int i = 0; i < kWatches; ++i) {
    etcdserverpb::WatchRequest request;
    watch.Create(Watch("key: 'many" + Number(i) + "'"));
  }
  etcdserverpb::WatchResponse response;
  for (int i = 0; i < kWatches && watch.Read(&response); ++i) {
    if (!response.created() || response.watch_id() != i) Print("  not in order: " + Short(response));
  }
  for (int i = 0; i < kWatches; ++i) api.PutQuietly("many" + Number(i), "x");
  for (int i = 0; i < kWatches && watch.Read(&response); ++i) {
    const bool right =
        response.watch_id() == i && response.events_size() == 1 && response.events(0).kv().key() == "many" + Number(i);
    if (!right) Print("  not the event of watch " + Number(i) + ": " + Short(response));
  }
  api.Delete(Delete("key: 'many' range_end: 'n'"));
  std::map<std::int64_t, int> deleted;
  for (int i = 0; i < kWatches && watch.Read(&response); ++i) deleted[response.watch_id()] += response.events_size();
  Print("  watches that saw the delete: " + Number(static_cast<std::int64_t>(deleted.size())));
}

void Leases(Api& api) {
  api.Grant(0x77, 600);
  api.Grant(0x77, 600);
  api.Grant(0x78, 1);
  api.Grant(0x79, 0);
  api.Grant(0x79, -5);
  api.Grant(0x79, 9'000'000'001);
  api.PutQuietly("b", "1", 0x77);
  api.PutQuietly("a", "1", 0x77);
  api.TimeToLive(0x77, true);
  api.TimeToLive(0x77, false);
  api.TimeToLive(0x1234, true);
  Member& member = api.Next();
  grpc::ClientContext context;
  const auto stream = member.lease->LeaseKeepAlive(&context);
  for (const std::int64_t id : {0x77, 0x1234, 0x77, 0}) {
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(id);
    stream->Write(request);
    etcdserverpb::LeaseKeepAliveResponse response;
    if (!stream->Read(&response)) Print("  the stream ended");
    Print("keep alive " + Number(id) + ": " + Short(response));
  }
  stream->WritesDone();
  PrintAnswer("the end", stream->Finish(), etcdserverpb::LeaseKeepAliveRequest());
  api.Revoke(0x77);
  api.Revoke(0x77);
  api.Revoke(0);
  api.Range(Range("key: 'a' range_end: 'c'"));
}

void MembersAgree(Api& api) {
  const std::int64_t revision = api.PutQuietly("agree", "x");
  std::set<std::uint32_t> hashes;
  std::set<std::uint64_t> leaders, terms, ids;
  std::set<std::string> lines;  // the same from every member
  for (Member& member : api.members()) {
    grpc::ClientContext wait, hash_context, status_context;
    etcdserverpb::RangeResponse range;
    member.kv->Range(&wait, Range("key: 'agree'"), &range);  // the member is as far as the put
    etcdserverpb::HashKVRequest request;
    request.set_revision(revision);
    etcdserverpb::HashKVResponse hash;
    grpc::Status status = member.maintenance->HashKV(&hash_context, request, &hash);
    lines.insert("hash: " + (status.ok() ? "at " + Number(hash.header().revision()) + ", compacted at " +
                                               Number(hash.compact_revision())
                                         : status.error_message()));
    hashes.insert(hash.hash());
    etcdserverpb::StatusResponse answer;
    status = member.maintenance->Status(&status_context, {}, &answer);
    leaders.insert(answer.leader());
    terms.insert(answer.raftterm());
    ids.insert(answer.header().member_id());
    const bool sane = status.ok() && !answer.version().empty() && answer.dbsize() > 0 && answer.dbsizeinuse() > 0 &&
                      answer.raftindex() >= answer.raftappliedindex() && answer.raftappliedindex() > 0 &&
                      answer.errors().empty() && answer.header().revision() == revision && !answer.islearner();
    lines.insert(sane ? "status: as it should be" : "status: " + Short(answer));
  }
  for (const std::string& line : lines) Print(line);
  Print("hashes, leaders, terms: " + Number(hashes.size()) + " " + Number(leaders.size()) + " " + Number(terms.size()));
  Print(ids.size() == api.members().size() && ids.count(*leaders.begin()) == 1 ? "the leader is one of them"
                                                                               : "odd ids");
  grpc::ClientContext context;
  etcdserverpb::HashKVRequest future;
  future.set_revision(revision + 1000);
  etcdserverpb::HashKVResponse answer;
  PrintAnswer("a hash of the future", api.Next().maintenance->HashKV(&context, future, &answer), answer);
}

std::string Raw(Member& member, const std::string& method, const std::string& bytes, bool compress = false) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  if (compress) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  grpc::CompletionQueue queue;
  grpc::Slice slice(bytes);
  grpc::ByteBuffer answer;
  const auto call = member.generic->PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status.ok() ? "good" : "error " + Number(status.error_code()) + " " + status.error_message();
}

void OddCalls(Api& api) {
  Print("no such method: " + Raw(api.Next(), "/etcdserverpb.KV/Nonsense", ""));
  Print("no such service: " + Raw(api.Next(), "/etcdserverpb.Nonsense/Put", ""));
  Print("no such package: " + Raw(api.Next(), "/nonsense.KV/Put", ""));
  const std::string garbage = Raw(api.Next(), "/etcdserverpb.KV/Put", "\xff\xff\xff garbage");
  Print("not a message: " + garbage.substr(0, garbage.find(':')));  // the rest is the parser's own
  Print("empty message: " + Raw(api.Next(), "/etcdserverpb.KV/Put", ""));
  const std::string compressed =
      Raw(api.Next(), "/etcdserverpb.KV/Range", Range("key: 'aaaaaaaaaaaaaaaaaaaaaaaaaa'").SerializeAsString(), true);
  Print("compressed: " + compressed);
  Print("unknown fields: " + Raw(api.Next(), "/etcdserverpb.KV/Range", std::string("\x0a\x01k\xa2\x06\x03xyz", 9)));
}

void DeadlinesAndMetadata(Api& api) {
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
    const auto stream = api.Next().watch->Watch(&context);
    etcdserverpb::WatchResponse response;
    stream->Read(&response);
    Print("a watch with a deadline: error " + Number(stream->Finish().error_code()));
  }
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
    etcdserverpb::RangeResponse response;
    Print("a deadline that is over: error " +
          Number(api.Next().kv->Range(&context, Range("key: 'a'"), &response).error_code()));
  }
  grpc::ClientContext context;
  context.AddMetadata("hasleader", "true");
  context.AddMetadata("client-api-version", "3.5.0");
  etcdserverpb::RangeResponse response;
  PrintAnswer("with hasleader", api.Next().kv->Range(&context, Range("key: 'absent'"), &response), response);
}

struct Case {
  const char* name;
  void (*run)(Api& api);
};
constexpr Case kCases[] = {{"ranges_count_and_filter", RangesCountAndFilter},
                           {"ranges_sort", RangesSort},
                           {"puts_that_are_refused", PutsThatAreRefused},
                           {"transactions_nest", TransactionsNest},
                           {"nested_operations_are_counted", NestedOperationsAreCounted},
                           {"compares_of_ranges_and_leases", ComparesOfRangesAndLeases},
                           {"requests_are_limited", RequestsAreLimited},
                           {"watch_ids", WatchIds},
                           {"watch_filters", WatchFilters},
                           {"watch_everything", WatchEverything},
                           {"watch_progress", WatchProgress},
                           {"watch_fragments", WatchFragments},
                           {"many_watches_on_one_stream", ManyWatchesOnOneStream},
                           {"leases", Leases},
                           {"members_agree", MembersAgree},
                           {"odd_calls", OddCalls},
                           {"deadlines_and_metadata", DeadlinesAndMetadata},
                           {"compactions", Compactions}};

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: grpc_api ENDPOINT[,ENDPOINT...]\n");
    return 2;
  }
  std::vector<std::string> endpoints;
  std::istringstream list(argv[1]);
  for (std::string endpoint; std::getline(list, endpoint, ',');) endpoints.push_back(endpoint);
  Api api(endpoints);
  for (const Case& each : kCases) {
    Print(std::string("== ") + each.name);
    each.run(api);
    std::fflush(stdout);
    etcdserverpb::DeleteRangeResponse answer;
    grpc::ClientContext context;
    api.Next().kv->DeleteRange(&context, Delete("key: '\\000' range_end: '\\000'"), &answer);
  }
  return 0;
}

}  // namespace
}  // namespace quorate::compat

int main(int argc, char** argv) {
  return quorate::compat::Main(argc, argv);
}
