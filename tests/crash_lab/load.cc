#include "load.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/check.h"
#include "client/etcd_client.h"

namespace quorate::crash_lab {
namespace {

constexpr auto kPace = std::chrono::milliseconds(6);
constexpr std::uint64_t kCompactEvery = 400;  // writes of one client
constexpr std::int64_t kHistory = 500;        // revisions that stay
constexpr std::size_t kComplaintsMax = 20;
constexpr int kReadTries = 300;
constexpr auto kReadPause = std::chrono::milliseconds(100);

std::string SmallKey(std::size_t client, std::uint64_t write) {
  char text[48];
  std::snprintf(text, sizeof text, "small/%02zu/%08llu", client, static_cast<unsigned long long>(write));
  return text;
}

std::string LargeKey(std::size_t client, std::uint64_t slot) {
  return "large/" + std::to_string(client) + "/" + std::to_string(slot);
}

void AddPut(etcdserverpb::TxnRequest* txn, std::string key, std::string value) {
  etcdserverpb::PutRequest* put = txn->add_success()->mutable_request_put();
  put->set_key(std::move(key));
  put->set_value(std::move(value));
}

// Tries again for a while: a member may be loading a snapshot.
etcdserverpb::RangeResponse ReadPage(client::EtcdClient& client, const etcdserverpb::RangeRequest& request) {
  for (int tries = 1;; ++tries) {
    Result<etcdserverpb::RangeResponse> response = client.Range(request);
    if (response.ok()) return *std::move(response);
    CHECK(tries < kReadTries) << "reading back: " << response.status().message();
    std::this_thread::sleep_for(kReadPause);
  }
}

std::map<std::string, std::string> ReadAll(client::EtcdClient& client, const std::string& prefix) {
  std::map<std::string, std::string> found;
  etcdserverpb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(prefix.substr(0, prefix.size() - 1) + static_cast<char>(prefix.back() + 1));
  request.set_limit(2000);
  for (;;) {
    const etcdserverpb::RangeResponse response = ReadPage(client, request);
    for (const auto& kv : response.kvs()) found[kv.key()] = kv.value();
    if (!response.more()) return found;
    request.set_key(response.kvs().rbegin()->key() + std::string(1, '\0'));
  }
}

std::unique_ptr<client::EtcdClient> Connect(const std::string& endpoints, std::uint64_t timeout_ns) {
  const Result<std::vector<client::Endpoint>> parsed = client::ParseEndpoints(endpoints);
  CHECK(parsed.ok()) << parsed.status().message();
  client::ClientOptions options;
  options.timeout_ns = timeout_ns;
  options.connect_timeout_ns = 500'000'000;
  return std::make_unique<client::EtcdClient>(*parsed, options);
}

}  // namespace

Load::Load(std::vector<std::string> endpoints, int clients) : endpoints_(std::move(endpoints)) {
  for (int i = 0; i < clients; ++i) clients_.push_back(std::make_unique<Client>());
  for (std::size_t i = 0; i < clients_.size(); ++i) clients_[i]->thread = std::thread([this, i] { Run(i); });
}

std::string Load::Endpoints(std::size_t first) const {
  std::string text;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    text += (i == 0 ? "" : ",") + endpoints_[(first + i) % endpoints_.size()];
  }
  return text;
}

void Load::Run(std::size_t number) {
  Client& self = *clients_[number];
  const std::unique_ptr<client::EtcdClient> client = Connect(Endpoints(number), 2'000'000'000);
  for (std::uint64_t write = 0; !stopping_; ++write) {
    etcdserverpb::TxnRequest txn;
    AddPut(&txn, SmallKey(number, write), "value of " + std::to_string(write));
    std::string large = std::to_string(write) + " ";
    large.resize(kLargeBytes, static_cast<char>('a' + write % 26));
    AddPut(&txn, LargeKey(number, write % kLargeKeys), std::move(large));
    const Result<etcdserverpb::TxnResponse> response = client->Txn(txn);
    self.acknowledged.push_back(response.ok());
    if (response.ok()) ++acknowledged_;
    if (response.ok() && number == 0 && write % kCompactEvery == kCompactEvery - 1) {
      etcdserverpb::CompactionRequest compact;
      compact.set_revision(std::max<std::int64_t>(1, response->header().revision() - kHistory));
      (void)client->Compact(compact);  // another compaction may have been faster
    }
    std::this_thread::sleep_for(kPace);
  }
}

void Load::Stop() {
  stopping_ = true;
  for (const auto& client : clients_) {
    if (client->thread.joinable()) client->thread.join();
  }
}

std::vector<std::string> Load::CheckClient(std::size_t number) {
  std::vector<std::string> wrong;
  const std::unique_ptr<client::EtcdClient> client = Connect(Endpoints(number), 10'000'000'000);
  const std::string prefix = SmallKey(number, 0).substr(0, SmallKey(number, 0).rfind('/') + 1);
  const std::map<std::string, std::string> small = ReadAll(*client, prefix);
  const std::vector<bool>& acknowledged = clients_[number]->acknowledged;
  std::map<std::uint64_t, std::uint64_t> newest;  // by slot: the last acknowledged write
  for (std::uint64_t write = 0; write < acknowledged.size(); ++write) {
    if (!acknowledged[write]) continue;
    newest[write % kLargeKeys] = write;
    const auto found = small.find(SmallKey(number, write));
    if (found == small.end()) {
      wrong.push_back("lost: " + SmallKey(number, write));
    } else if (found->second != "value of " + std::to_string(write)) {
      wrong.push_back("wrong: " + found->first + " is " + found->second);
    }
  }
  const std::map<std::string, std::string> large =
      ReadAll(*client, LargeKey(number, 0).substr(0, LargeKey(number, 0).rfind('/') + 1));
  for (const auto& [slot, write] : newest) {
    const auto found = large.find(LargeKey(number, slot));
    const std::uint64_t is = found == large.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
    if (found == large.end() || found->second.size() != kLargeBytes || is < write || is % kLargeKeys != slot) {
      wrong.push_back("stale: " + LargeKey(number, slot) + " is of write " + std::to_string(is) +
                      ", acknowledged was " + std::to_string(write));
    }
  }
  return wrong;
}

std::vector<std::string> Load::Check() {
  std::vector<std::string> wrong;
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    for (std::string& line : CheckClient(i)) {
      if (wrong.size() < kComplaintsMax) wrong.push_back(std::move(line));
    }
  }
  return wrong;
}

}  // namespace quorate::crash_lab
