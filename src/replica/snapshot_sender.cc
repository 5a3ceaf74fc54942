#include "replica/snapshot_sender.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"

namespace quorate::replica {
namespace {

constexpr std::uint64_t kTickNs = 10'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
// A member that refused, or a state that could not be opened, is not asked again at once.
constexpr std::uint64_t kFailureDelayNs = kNsPerSecond;

}  // namespace

struct SnapshotSender::Source {
  std::shared_ptr<SnapshotStream> stream;
  std::uint64_t opened_at_ns = 0;
  std::uint64_t used_at_ns = 0;
  std::uint64_t users = 0;
};

struct SnapshotSender::Transfer {
  std::shared_ptr<Source> source;  // null: ends with failure at fails_at_ns
  std::uint64_t number = 0;
  bool wanted = false;
  bool pumping = false;  // a frame was sent in this turn of the loop
  bool accepted = false;
  std::uint64_t accepted_at_ns = 0;  // the first time; 0 = not yet
  bool reading = false;
  std::uint64_t sent = 0;  // offset of the next frame
  std::uint64_t kept = 0;  // at the receiver
  bool finished = false;   // the last frame was sent
  SnapshotStream::Piece piece;
  std::uint64_t heard_at_ns = 0;
  std::uint64_t fails_at_ns = 0;
  consensus::SnapshotMeta meta;
};

SnapshotSender::SnapshotSender(SnapshotSenderOptions options, env::Executor& executor, const env::Clock& clock,
                               SnapshotSenderHost& host)
    : options_(options), executor_(executor), clock_(clock), host_(host), alive_(std::make_shared<const bool>(true)) {}

SnapshotSender::~SnapshotSender() {
  if (timer_ != 0) executor_.Cancel(timer_);
}

template <class Task>
auto SnapshotSender::Guarded(Task task) {
  return [task = std::move(task), alive = std::weak_ptr<const bool>(alive_)](auto&&... arguments) {
    if (!alive.expired()) task(std::forward<decltype(arguments)>(arguments)...);
  };
}

void SnapshotSender::Send(ReplicaId to, std::uint64_t ballot) {
  const auto found = transfers_.find(to);
  if (found != transfers_.end()) {
    found->second->wanted = false;  // the core waits for its end as well
    return;
  }
  Begin(to, ballot, false);
}

void SnapshotSender::OnWanted(ReplicaId from, std::uint64_t ballot) {
  // The member has nothing: whatever was being sent to it, it asks anew.
  const auto found = transfers_.find(from);
  if (found != transfers_.end() && !found->second->wanted) return;
  if (found != transfers_.end()) return Offer(from, ballot);
  Begin(from, ballot, true);
}

void SnapshotSender::Begin(ReplicaId to, std::uint64_t ballot, bool wanted) {
  auto transfer = std::make_unique<Transfer>();
  transfer->number = ++numbers_;
  transfer->wanted = wanted;
  transfer->heard_at_ns = clock_.MonotonicNs();
  transfers_.insert_or_assign(to, std::move(transfer));
  installations_.erase(to);
  ++status_.sending;
  ScheduleTick();
  executor_.Post(Guarded([this, to, ballot] { Offer(to, ballot); }));
}

std::shared_ptr<SnapshotSender::Source> SnapshotSender::FindSource() {
  const std::uint64_t now = clock_.MonotonicNs();
  std::shared_ptr<Source> best;
  for (const auto& [id, source] : sources_) {
    if (!host_.SnapshotIsUseful(source->stream->header().meta)) continue;
    if (best == nullptr || source->opened_at_ns > best->opened_at_ns) best = source;
  }
  if (best == nullptr) return nullptr;
  const bool young = now - best->opened_at_ns <= options_.share_ns;
  return young || sources_.size() >= options_.sources_max ? best : nullptr;
}

Result<std::shared_ptr<SnapshotSender::Source>> SnapshotSender::OpenSource() {
  Result<std::shared_ptr<SnapshotStream>> stream = host_.OpenSnapshotStream();
  if (!stream.ok()) return stream.status();
  auto source = std::make_shared<Source>();
  source->stream = *std::move(stream);
  source->opened_at_ns = clock_.MonotonicNs();
  source->used_at_ns = source->opened_at_ns;
  sources_[source->stream->header().meta.id] = source;
  return source;
}

void SnapshotSender::Offer(ReplicaId to, std::uint64_t ballot) {
  const auto found = transfers_.find(to);
  if (found == transfers_.end()) return;
  Transfer& transfer = *found->second;
  if (transfer.source == nullptr) {
    // What this member has begun to receive comes first: it goes on where it was.
    const auto begun = last_source_.find(to);
    if (begun != last_source_.end()) {
      const auto source = sources_.find(begun->second);
      if (source != sources_.end() && host_.SnapshotIsUseful(source->second->stream->header().meta)) {
        transfer.source = source->second;
      }
    }
    if (transfer.source == nullptr) transfer.source = FindSource();
    if (transfer.source == nullptr) {
      Result<std::shared_ptr<Source>> source = OpenSource();
      if (!source.ok()) {
        LogWarn("cannot send a snapshot to " + std::to_string(to.value) + ": " + source.status().message());
        transfer.fails_at_ns = clock_.MonotonicNs() + kFailureDelayNs;
        return;
      }
      transfer.source = *std::move(source);
    }
    ++transfer.source->users;
    transfer.meta = transfer.source->stream->header().meta;
    last_source_[to] = transfer.meta.id;
  }
  transfer.heard_at_ns = clock_.MonotonicNs();
  host_.SendSnapshotMessage(
      to, SnapshotOffer{transfer.meta, ballot, transfer.source->stream->size_estimate_bytes(), transfer.wanted});
}

SnapshotSender::Transfer* SnapshotSender::Find(ReplicaId to, std::uint64_t id) {
  const auto found = transfers_.find(to);
  if (found == transfers_.end() || found->second->source == nullptr || found->second->meta.id != id) return nullptr;
  found->second->heard_at_ns = clock_.MonotonicNs();
  found->second->source->used_at_ns = found->second->heard_at_ns;
  return found->second.get();
}

void SnapshotSender::OnMessage(ReplicaId from, const SnapshotAccept& message) {
  Transfer* transfer = Find(from, message.id);
  if (transfer == nullptr) {
    host_.SendSnapshotMessage(from, SnapshotStopped{message.id, "it is not being sent any more"});
    return;
  }
  if (message.offset > transfer->source->stream->reached()) return End(from, false);
  transfer->accepted = true;
  if (transfer->accepted_at_ns == 0) transfer->accepted_at_ns = transfer->heard_at_ns;
  transfer->sent = message.offset;
  transfer->kept = message.offset;
  transfer->finished = false;
  transfer->piece = {};
  Pump(from);
}

void SnapshotSender::OnMessage(ReplicaId from, const SnapshotRefused& message) {
  Transfer* transfer = Find(from, message.id);
  if (transfer == nullptr || transfer->fails_at_ns != 0) return;
  LogInfo("member " + std::to_string(from.value) + " refuses the snapshot: " + message.why);
  last_source_.erase(from);
  transfer->accepted = false;
  transfer->fails_at_ns = clock_.MonotonicNs() + kFailureDelayNs;
}

void SnapshotSender::OnMessage(ReplicaId from, const SnapshotProgress& message) {
  Transfer* transfer = Find(from, message.id);
  if (transfer == nullptr) return;
  // Whole and durable there, be it from a former transfer of the same snapshot, of which nothing is sent again.
  if (message.done) return End(from, true);
  if (message.offset > transfer->sent) return;
  transfer->kept = std::max(transfer->kept, message.offset);
  Pump(from);
}

void SnapshotSender::OnLinkDown(ReplicaId peer) {
  installations_.erase(peer);
  if (transfers_.contains(peer)) End(peer, false);
}

void SnapshotSender::StopAll() {
  std::vector<ReplicaId> members;
  for (const auto& [to, transfer] : transfers_) members.push_back(to);
  for (const ReplicaId to : members) {
    host_.SendSnapshotMessage(to, SnapshotStopped{transfers_.at(to)->meta.id, "its sender leads no more"});
    End(to, false);
  }
  sources_.clear();
  last_source_.clear();
  installations_.clear();
}

void SnapshotSender::End(ReplicaId to, bool delivered) {
  const auto found = transfers_.find(to);
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  --status_.sending;
  status_.sending_ns += SendingNs(*transfer);
  ++(delivered ? status_.delivered : status_.failed);
  if (transfer->source != nullptr) {
    --transfer->source->users;
    transfer->source->used_at_ns = clock_.MonotonicNs();
  }
  if (delivered) {
    last_source_.erase(to);
    installations_[to] = {{transfer->meta.last, transfer->source->stream->size_estimate_bytes()},
                          clock_.MonotonicNs() + options_.install_ns};
  }
  DropOldSources();
  if (!transfer->wanted) host_.OnSnapshotSent(to, transfer->meta, delivered);
}

// Sends what window and rate allow, a frame a turn of the loop so that everything else has its turn in between.
void SnapshotSender::Pump(ReplicaId to) {
  const auto found = transfers_.find(to);
  if (found == transfers_.end()) return;
  Transfer& transfer = *found->second;
  if (!transfer.accepted || transfer.reading || transfer.finished || transfer.pumping) return;
  const std::uint64_t piece_end = transfer.piece.offset + transfer.piece.bytes.size();
  if (transfer.sent < transfer.piece.offset || transfer.sent >= piece_end) return Fill(to);
  const std::uint64_t bytes = std::min(options_.frame_bytes, piece_end - transfer.sent);
  if (transfer.sent + bytes > transfer.kept + options_.window_bytes) return;  // goes on with the next word
  if (!TakeTokens(bytes)) return;                                             // goes on with the next tick
  const bool last = transfer.piece.last && transfer.sent + bytes == piece_end;
  SnapshotData data{transfer.meta.id, transfer.sent, last,
                    transfer.piece.bytes.Slice(transfer.sent - transfer.piece.offset, bytes)};
  transfer.sent += bytes;
  transfer.finished = last;
  transfer.pumping = true;
  status_.bytes_sent += bytes;
  host_.SendSnapshotMessage(to, std::move(data));
  executor_.Post(Guarded([this, to, number = transfer.number] {
    const auto again = transfers_.find(to);
    if (again == transfers_.end() || again->second->number != number) return;
    again->second->pumping = false;
    Pump(to);
  }));
}

void SnapshotSender::Fill(ReplicaId to) {
  Transfer& transfer = *transfers_.at(to);
  transfer.reading = true;
  transfer.source->stream->Read(
      transfer.sent,
      Guarded([this, to, number = transfer.number, offset = transfer.sent](Result<SnapshotStream::Piece> piece) {
        const auto found = transfers_.find(to);
        if (found == transfers_.end() || found->second->number != number) return;
        Transfer& reader = *found->second;
        reader.reading = false;
        if (!piece.ok()) {
          LogWarn("cannot send a snapshot to " + std::to_string(to.value) + ": " + piece.status().message());
          sources_.erase(reader.meta.id);
          host_.SendSnapshotMessage(to, SnapshotStopped{reader.meta.id, piece.status().message()});
          return End(to, false);
        }
        if (reader.sent == offset) {
          if (piece->bytes.empty()) return SendEnd(to, &reader);
          reader.piece = *std::move(piece);
        }
        Pump(to);
      }));
}

// The receiver has every byte, and only its word that it is done was lost.
void SnapshotSender::SendEnd(ReplicaId to, Transfer* transfer) {
  transfer->finished = true;
  host_.SendSnapshotMessage(to, SnapshotData{transfer->meta.id, transfer->sent, true, {}});
}

bool SnapshotSender::TakeTokens(std::uint64_t bytes) {
  if (options_.rate_bytes == 0) return true;
  // A tenth of a second's worth may come at once: ticks are coarse.
  const std::uint64_t burst = std::max(options_.rate_bytes / 10, options_.frame_bytes);
  const std::uint64_t now = clock_.MonotonicNs();
  const std::uint64_t passed = std::min(now - bucket_.filled_at_ns, kNsPerSecond);
  // Kept in units of bytes per billionth of a second, so that nothing is lost between two ticks.
  bucket_.available = std::min(bucket_.available + passed * options_.rate_bytes, burst * kNsPerSecond);
  bucket_.filled_at_ns = now;
  if (bucket_.available < bytes * kNsPerSecond) return false;
  bucket_.available -= bytes * kNsPerSecond;
  return true;
}

void SnapshotSender::DropOldSources() {
  const std::uint64_t now = clock_.MonotonicNs();
  for (auto at = sources_.begin(); at != sources_.end();) {
    const Source& source = *at->second;
    const bool useless = !host_.SnapshotIsUseful(source.stream->header().meta);
    const bool old = source.users == 0 && (useless || now - source.used_at_ns >= options_.keep_ns);
    at = old ? sources_.erase(at) : std::next(at);
  }
  std::erase_if(last_source_, [this](const auto& entry) { return !sources_.contains(entry.second); });
}

void SnapshotSender::ScheduleTick() {
  if (timer_ != 0) return;
  timer_ = executor_.After(kTickNs, [this] {
    timer_ = 0;
    OnTick();
  });
}

void SnapshotSender::OnTick() {
  const std::uint64_t now = clock_.MonotonicNs();
  std::vector<ReplicaId> members;
  for (const auto& [to, transfer] : transfers_) members.push_back(to);
  // Who was first last time is last now: with a rate, the tokens go round.
  if (!members.empty()) {
    std::rotate(members.begin(), members.begin() + static_cast<std::ptrdiff_t>(++turn_ % members.size()),
                members.end());
  }
  for (const ReplicaId to : members) {
    const Transfer& transfer = *transfers_.at(to);
    const bool failed = transfer.fails_at_ns != 0 && now >= transfer.fails_at_ns;
    const bool stalled = now - transfer.heard_at_ns >= options_.stall_ns && !Throttled(transfer);
    if (failed || stalled) {
      if (stalled) LogWarn("member " + std::to_string(to.value) + " does not answer while a snapshot is sent to it");
      End(to, false);
    } else {
      Pump(to);
    }
  }
  DropOldSources();
  if (!transfers_.empty() || !sources_.empty()) ScheduleTick();
}

// It is this side that waits: everything that was sent is kept.
bool SnapshotSender::Throttled(const Transfer& transfer) const {
  return transfer.accepted && !transfer.finished && transfer.kept == transfer.sent;
}

std::uint64_t SnapshotSender::SendingNs(const Transfer& transfer) const {
  return transfer.accepted_at_ns == 0 ? 0 : clock_.MonotonicNs() - transfer.accepted_at_ns;
}

SnapshotSenderStatus SnapshotSender::status() const {
  SnapshotSenderStatus status = status_;
  for (const auto& [to, transfer] : transfers_) status.sending_ns += SendingNs(*transfer);
  return status;
}

std::optional<SnapshotsUnderWay> SnapshotSender::under_way() const {
  std::optional<SnapshotsUnderWay> all;
  const auto add = [&all](const SnapshotsUnderWay& one) {
    all = all ? SnapshotsUnderWay{std::min(all->last, one.last), std::max(all->bytes, one.bytes)} : one;
  };
  for (const auto& [to, transfer] : transfers_) {
    if (transfer->source != nullptr) add({transfer->meta.last, transfer->source->stream->size_estimate_bytes()});
  }
  for (const auto& [to, installation] : installations_) {
    if (clock_.MonotonicNs() < installation.until_ns) add(installation.what);
  }
  return all;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> SnapshotSender::progress(ReplicaId to) const {
  const auto found = transfers_.find(to);
  if (found == transfers_.end()) return std::nullopt;
  const Transfer& transfer = *found->second;
  const std::uint64_t total = transfer.source == nullptr ? 0 : transfer.source->stream->size_estimate_bytes();
  return std::pair(transfer.kept, total);
}

}  // namespace quorate::replica
