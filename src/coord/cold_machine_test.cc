// A machine whose values are on the disk: what entries read is brought in before they are applied, reads come back
// later, and nothing of it shows.
#include <gmock/gmock.h>

#include "coord/kv/kv_executor.h"
#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

const std::string kLarge(1'000, 'x');

MachineOptions Tight() {
  MachineOptions options;
  options.memory_bytes = 8 << 10;
  options.buffer.batch_bytes = 1 << 10;
  options.buffer.batch_records = 5;
  return options;
}

class ColdMachineTest : public testing::Test {
 protected:
  ColdMachineTest() : m_(Tight()) {
    for (int i = 0; i < 50; ++i) m_.Put(Numbered("k", 100 + i), Numbered(kLarge, i));
    m_.Reopen();
  }
  static RangeRequest Keys(std::string key, std::string end = {}) {
    RangeRequest range;
    range.key = std::move(key);
    range.end = std::move(end);
    return range;
  }
  static Compare ValueIs(std::string key, std::string value) {
    Compare compare;
    compare.target = Compare::Target::kValue;
    compare.key = std::move(key);
    compare.value = std::move(value);
    return compare;
  }
  MachineHarness m_;
};

TEST_F(ColdMachineTest, ARangeIsAnsweredLaterAndAtOnceWhenItIsInMemory) {
  std::optional<Result<RangeResponse>> answer;
  m_->ReadRange(Keys("k1", "k2"), [&](Result<RangeResponse> response) { answer = std::move(response); });
  EXPECT_FALSE(answer.has_value());
  m_.Put("k110", "newer");
  m_.Settle();
  ASSERT_TRUE(answer && answer->ok());
  ASSERT_EQ((*answer)->kvs.size(), 50u);
  EXPECT_EQ((*answer)->kvs[10].value.view(), "newer") << "as of the answer";
  EXPECT_EQ((*answer)->kvs[49].value.view(), Numbered(kLarge, 49));
  bool at_once = false;
  m_->ReadRange(Keys("k110"), [&](const Result<RangeResponse>& response) { at_once = response.ok(); });
  EXPECT_TRUE(at_once);
  EXPECT_EQ(m_->stats().keyspace.blocking_reads, 0u);
}

TEST_F(ColdMachineTest, AnOldRevisionIsReadFromTheDiskUnlessItIsCompactedMeanwhile) {
  m_.Put("k101", "newer");
  RangeRequest request = Keys("k101");
  request.revision = 51;
  std::string value;
  m_->ReadRange(request, [&](const Result<RangeResponse>& response) { value = response->kvs.at(0).value.ToString(); });
  m_.Settle();
  EXPECT_EQ(value, Numbered(kLarge, 1));
  Status refused;
  m_->ReadRange(request, [&](const Result<RangeResponse>& response) { refused = response.status(); });
  EXPECT_TRUE(refused.ok());
  m_.Apply(CompactRequest{52});
  m_.Settle();
  EXPECT_EQ(refused, Status::OutOfRange("etcdserver: mvcc: required revision has been compacted"));
}

TEST_F(ColdMachineTest, ReadTransactionsCompareAndReadFromTheDisk) {
  TxnRequest txn;
  txn.compares.push_back(ValueIs("k105", Numbered(kLarge, 5)));
  txn.success.emplace_back(Keys("k107"));
  txn.failure.emplace_back(Keys("k108"));
  std::optional<Result<TxnResponse>> answer;
  m_->ReadTxn(txn, [&](Result<TxnResponse> response) { answer = std::move(response); });
  m_.Settle();
  ASSERT_TRUE(answer && answer->ok());
  EXPECT_TRUE((*answer)->succeeded);
  EXPECT_EQ(std::get<RangeResponse>((*answer)->responses.at(0)).kvs.at(0).value.view(), Numbered(kLarge, 7));
}

// MachineHarness prepares every entry, and fails if one then blocks.
TEST_F(ColdMachineTest, EntriesFindInMemoryWhatTheyRead) {
  PutRequest put = MachineHarness::MakePut("k101", "new");
  put.prev_kv = true;
  EXPECT_EQ(std::get<PutResponse>(m_.Apply(put).body).prev_kv->value.view(), Numbered(kLarge, 1));
  PutRequest same = MachineHarness::MakePut("k102", "");
  same.ignore_value = true;
  EXPECT_TRUE(m_.Apply(same).status.ok());
  EXPECT_EQ(m_.Value("k102"), Numbered(kLarge, 2));
  EXPECT_EQ(std::get<DeleteRangeResponse>(m_.Delete("k103", "k106", true).body).prev_kvs.size(), 3u);

  auto inner = std::make_shared<TxnRequest>();
  inner->compares.push_back(ValueIs("k111", Numbered(kLarge, 11)));
  inner->success.emplace_back(Keys("k112", "k115"));
  TxnRequest txn;
  txn.compares.push_back(ValueIs("k110", Numbered(kLarge, 10)));
  txn.success.emplace_back(std::shared_ptr<const TxnRequest>(inner));
  txn.success.emplace_back(MachineHarness::MakePut("k110", "done"));
  const CommandOutcome outcome = m_.Apply(txn);
  const auto& response = std::get<TxnResponse>(outcome.body);
  EXPECT_TRUE(response.succeeded);
  const auto& nested = *std::get<std::shared_ptr<const TxnResponse>>(response.responses.at(0));
  EXPECT_TRUE(nested.succeeded);
  EXPECT_EQ(std::get<RangeResponse>(nested.responses.at(0)).kvs.size(), 3u);
}

TEST_F(ColdMachineTest, AReadThatFailsIsTriedAgainBeforeAnEntryIsApplied) {
  int failures = 3;
  store::MemoryEngineHooks hooks;
  hooks.read_fate = [&] { return --failures > 0 ? Status::Unavailable("the disk is slow") : Status(); };
  MachineHarness m(Tight(), hooks);
  for (int i = 0; i < 50; ++i) m.Put(Numbered("k", 100 + i), kLarge);
  m.Reopen();
  failures = 3;
  PutRequest put = MachineHarness::MakePut("k101", "new");
  put.prev_kv = true;
  EXPECT_EQ(std::get<PutResponse>(m.Apply(put).body).prev_kv->value.view(), kLarge);
  EXPECT_LE(failures, 0);
}

TEST_F(ColdMachineTest, ACommandThatReadsTooMuchIsRefusedByEveryMemberAndBefore) {
  const std::string piece(1 << 20, 'y');
  MachineHarness loose;
  for (MachineHarness* m : {&m_, &loose}) {
    for (int i = 0; i < 65; ++i) m->Put(Numbered("big", 100 + i), piece);
  }
  const DeleteRangeRequest erase{"big", "bih", true};
  EXPECT_EQ(m_->CheckReadBytes(erase).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(m_.Apply(erase).status, loose.Apply(erase).status);
  EXPECT_EQ(m_.Apply(erase).status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(std::get<DeleteRangeResponse>(m_.Delete("big", "bih").body).deleted, 65) << "without the values it may";
}

TEST_F(ColdMachineTest, AnAnswerOverTheBoundIsRefusedBeforeAnythingIsReadForIt) {
  MachineOptions options = Tight();
  options.answer_bytes_max = 10 * kLarge.size();
  MachineHarness m(options);
  for (int i = 0; i < 50; ++i) m.Put(Numbered("k", 100 + i), kLarge);
  m.Reopen();
  const auto read = [&m](RangeRequest request) {
    Status status = Status::Internal("no answer");
    m->ReadRange(request, [&status](const Result<RangeResponse>& response) { status = response.status(); });
    m.Settle();
    return status;
  };
  RangeRequest all = Keys("k", "l");
  const std::uint64_t loads = m->stats().keyspace.cold_loads;
  EXPECT_EQ(read(all).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(m->stats().keyspace.cold_loads, loads);
  TxnRequest twice;
  twice.success.emplace_back(Keys("k100", "k106"));
  twice.success.emplace_back(Keys("k106", "k112"));
  EXPECT_EQ(m->ReadTxn(twice).status().code(), StatusCode::kResourceExhausted) << "together they are too much";
  all.limit = 5;
  EXPECT_TRUE(read(all).ok());
  all.limit = 0;
  all.keys_only = true;
  EXPECT_TRUE(read(all).ok());
}

TEST_F(ColdMachineTest, EntriesWaitWhileTooMuchIsNotDurable) {
  bool stuck = true;
  store::MemoryEngineHooks hooks;
  hooks.write_fate = [&](const store::EngineBatch&) {
    return stuck ? Status::ResourceExhausted("disk full") : Status();
  };
  MachineHarness m(Tight(), hooks);
  consensus::Entry entry;
  entry.kind = consensus::EntryKind::kCommand;
  entry.payload = Bytes(EncodeCommand({Envelope{}, MachineHarness::MakePut("k", kLarge)}));
  int applied = 0;
  bool ready = false;
  for (;; ++applied) {
    entry.index = m->applied().Next();
    if (!m->Prepare(entry, [&] { ready = true; })) break;
    m->Apply(entry);
    ASSERT_LT(applied, 100);
  }
  EXPECT_TRUE(m->backlogged());
  EXPECT_GT(m->backlog_bytes(), 1'000u);
  m.Settle();
  EXPECT_FALSE(ready);
  stuck = false;
  m.Settle();
  EXPECT_TRUE(ready);
  EXPECT_TRUE(m->Prepare(entry, [] {}));
  EXPECT_FALSE(m->backlogged());
}

class Sink final : public WatchSink {
 public:
  void OnEvents(WatchHandle, Revision, std::vector<WatchEvent> events) override {
    for (WatchEvent& event : events) seen.push_back(std::move(event));
  }
  void OnCompacted(WatchHandle, Revision) override {}
  bool CanTake() const override { return true; }
  std::vector<WatchEvent> seen;
};

TEST_F(ColdMachineTest, WatchesReadHistoryAndReplacedValuesFromTheDisk) {
  Sink history, live;
  m_->watches().SetWake([&] {
    while (m_->watches().Pump()) continue;
  });
  m_->watches().Add({.key = "k", .end = "l", .start_revision = 10, .prev_kv = true}, &history);
  m_->watches().Add({.key = "k120", .end = {}, .prev_kv = true}, &live);
  m_.Put("k120", "new");
  m_.Put("k120", "newer");
  while (m_->watches().Pump()) continue;
  m_.Settle();
  ASSERT_EQ(live.seen.size(), 2u);
  EXPECT_EQ(live.seen[0].prev_kv->value.view(), Numbered(kLarge, 20));
  EXPECT_EQ(live.seen[1].prev_kv->value.view(), "new");
  ASSERT_EQ(history.seen.size(), 44u);
  for (std::size_t i = 0; i < history.seen.size(); ++i) {
    EXPECT_EQ(history.seen[i].event.kv.mod_revision, static_cast<Revision>(10 + i));
  }
  EXPECT_EQ(history.seen[42].prev_kv->value.view(), Numbered(kLarge, 20));
  EXPECT_EQ(m_->stats().keyspace.blocking_reads, 0u);
}

}  // namespace
}  // namespace quorate::coord
