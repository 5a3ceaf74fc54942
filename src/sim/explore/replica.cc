#include "sim/explore/replica.h"

#include <algorithm>
#include <variant>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::sim::explore {
namespace {

using consensus::Hasher;

void Write(const consensus::WriteBatch& batch, Disk* disk) {
  if (batch.hard_state) disk->hard_state = batch.hard_state;
  for (const consensus::LogOp& op : batch.ops) {
    if (const auto* put = std::get_if<consensus::PutEntry>(&op)) {
      disk->log[put->entry.index] = put->entry;
    } else if (const auto* cut = std::get_if<consensus::TruncateAfter>(&op)) {
      disk->log.erase(disk->log.upper_bound(cut->last_kept), disk->log.end());
    }
  }
}

void AddEntry(const consensus::Entry& entry, Hasher* h) {
  h->Add(entry.index).Add(entry.ballot.number).Add(entry.ballot.owner).Add(DecisionHash(entry));
}

void AddDisk(const Disk& disk, Hasher* h) {
  h->Add(disk.log.size());
  for (const auto& [index, entry] : disk.log) AddEntry(entry, h);
  h->AddBytes(disk.hard_state ? disk.hard_state->view() : std::string_view());
}

void AddBatch(const consensus::WriteBatch& batch, Hasher* h) {
  h->Add(batch.sync ? 1 : 0).Add(batch.ops.size());
  h->AddBytes(batch.hard_state ? batch.hard_state->view() : std::string_view());
  for (const consensus::LogOp& op : batch.ops) {
    h->Add(op.index());
    if (const auto* put = std::get_if<consensus::PutEntry>(&op)) AddEntry(put->entry, h);
    if (const auto* cut = std::get_if<consensus::TruncateAfter>(&op)) h->Add(cut->last_kept);
  }
}

bool Installs(const consensus::WriteBatch& batch) {
  return std::any_of(batch.ops.begin(), batch.ops.end(),
                     [](const consensus::LogOp& op) { return std::holds_alternative<consensus::InstallSnapshot>(op); });
}

}  // namespace

std::uint64_t DecisionHash(const consensus::Entry& entry) {
  Hasher h;
  h.Add(static_cast<std::uint64_t>(entry.kind)).Add(entry.origin.replica).Add(entry.origin.incarnation);
  return h.Add(entry.origin.proposal).AddBytes(entry.payload.view()).value();
}

Replica::Replica(consensus::Protocol protocol, consensus::Options options, bool prompt)
    : protocol_(protocol), options_(std::move(options)), prompt_(prompt) {}

Replica::Replica(const Replica& other)
    : protocol_(other.protocol_),
      options_(other.options_),
      prompt_(other.prompt_),
      doomed_(other.doomed_),
      core_(other.core_->Clone()),
      incarnation_(other.incarnation_),
      disk_(other.disk_),
      written_(other.written_),
      host_(other.host_),
      proposed_(other.proposed_),
      links_(other.links_),
      leadership_(other.leadership_) {}

// ---- Events

void Replica::Boot() {
  incarnation_ = incarnation_.Next();
  host_ = {};
  doomed_ = false;
  written_ = disk_;
  leadership_ = {};
  consensus::Recovered recovered;
  recovered.hard_state = disk_.hard_state;
  for (const auto& [index, entry] : disk_.log) recovered.log.push_back(entry);
  Result<std::unique_ptr<consensus::Core>> core = consensus::MakeCore(protocol_, options_, std::move(recovered));
  CHECK(core.ok()) << "the disk does not open: " << core.status().message();
  core_ = *std::move(core);
}

Outputs Replica::Start(const std::map<ReplicaId, LinkId>& links, const std::map<ReplicaId, Incarnation>& peers) {
  Outputs out;
  Boot();
  links_ = links;
  for (const auto& [peer, link] : links) core_->Step(consensus::LinkUp{peer, link, peers.at(peer)});
  core_->CheckInvariants();
  Pump(&out);
  return out;
}

Outputs Replica::Deliver(ReplicaId from, const Bytes& payload) {
  return Step(consensus::Receive{from, links_.at(from), payload});
}

bool Replica::can_be_late() const {
  const std::optional<Ticks> deadline = core_->NextDeadline();
  return deadline && deadline->value > 1 && !leads();
}

Outputs Replica::BecomeLate() {
  Outputs out;
  for (std::uint64_t left = core_->NextDeadline().value_or(Ticks(1)).value; left > 1; --left) {
    StepAndPump(consensus::Tick{}, &out);
  }
  return out;
}

Outputs Replica::DeliverLate(ReplicaId from, const Bytes& payload) {
  Outputs out = BecomeLate();
  StepAndPump(consensus::Receive{from, links_.at(from), payload}, &out);
  return out;
}

Outputs Replica::ReplaceLink(ReplicaId peer, LinkId link, Incarnation incarnation) {
  Outputs out;
  const LinkId former = links_.at(peer);
  links_.erase(peer);
  StepAndPump(consensus::LinkDown{peer, former}, &out);
  links_[peer] = link;
  StepAndPump(consensus::LinkUp{peer, link, incarnation}, &out);
  return out;
}

bool Replica::can_persist() const {
  return std::any_of(host_.pending.begin(), host_.pending.end(),
                     [](const consensus::WriteBatch& batch) { return batch.sync; });
}

Outputs Replica::Persist() {
  Outputs out;
  CHECK(can_persist());
  bool synced = false;
  while (!synced) {
    synced = host_.pending.front().sync;
    PersistOne(&out);
  }
  return out;
}

void Replica::PersistOne(Outputs* out) {
  Write(host_.pending.front(), &disk_);
  host_.persisted = host_.pending.front().seq;
  host_.pending.pop_front();
  for (auto& [peer, queue] : host_.held) {
    while (!queue.empty() && queue.front().after <= host_.persisted) {
      SendNow(queue.front(), out);
      queue.pop_front();
    }
  }
  StepAndPump(consensus::Persisted{host_.persisted}, out);
}

Outputs Replica::TickToDeadline() {
  Outputs out;
  const std::optional<Ticks> deadline = core_->NextDeadline();
  CHECK(deadline.has_value());
  for (std::uint64_t i = 0; i < deadline->value; ++i) StepAndPump(consensus::Tick{}, &out);
  return out;
}

Outputs Replica::Propose() {
  proposed_ = proposed_.Next();
  std::string command("p");
  command += std::to_string(proposed_.value);
  return Step(consensus::Propose{{id(), incarnation_, proposed_}, Bytes(std::move(command))});
}

Outputs Replica::Read(ReadId read) {
  return Step(consensus::ReadBarrier{read});
}

// ---- What replica::Driver does

Outputs Replica::Step(consensus::Event event) {
  Outputs out;
  StepAndPump(std::move(event), &out);
  return out;
}

void Replica::StepAndPump(consensus::Event event, Outputs* out) {
  core_->Step(std::move(event));
  core_->CheckInvariants();
  Pump(out);
}

void Replica::Pump(Outputs* out) {
  while (core_->HasReady()) {
    Act(core_->TakeReady(), out);
    core_->CheckInvariants();
  }
  if (prompt_ && !doomed_ && can_persist()) PersistOne(out);
}

void Replica::Act(consensus::Ready ready, Outputs* out) {
  if (ready.leadership) out->leaderships.push_back(leadership_ = *ready.leadership);
  Send(std::move(ready.outbound), out);
  if (ready.write) {
    if (Installs(*ready.write)) out->broken = "a snapshot was installed: outside of the explored scope";
    Write(*ready.write, &written_);
    host_.pending.push_back(*std::move(ready.write));
  }
  Execute(std::move(ready.decided), out);
  out->reads.insert(out->reads.end(), ready.reads.begin(), ready.reads.end());
  if (ready.load_log) {
    core_->Step(consensus::LogLoaded{ready.load_log->first, Load(*ready.load_log)});
  }
  if (!ready.send_snapshot.empty()) out->broken = "a snapshot was asked for: outside of the explored scope";
}

void Replica::Send(std::vector<consensus::Outbound> outbound, Outputs* out) {
  const bool fifo = core_->traits().needs_fifo_links;
  for (consensus::Outbound& message : outbound) {
    std::deque<consensus::Outbound>& queue = host_.held[message.to];
    if (message.after <= host_.persisted && (queue.empty() || !fifo)) {
      SendNow(message, out);
      continue;
    }
    if (!queue.empty()) message.after = std::max(message.after, queue.back().after);
    queue.push_back(std::move(message));
  }
}

void Replica::SendNow(const consensus::Outbound& message, Outputs* out) const {
  const auto link = links_.find(message.to);
  if (link == links_.end() || (message.link && message.link != link->second)) return;
  out->sent.emplace_back(message.to, message.payload);
}

void Replica::Execute(std::vector<consensus::Entry> decided, Outputs* out) {
  if (decided.empty()) return;
  for (consensus::Entry& entry : decided) {
    if (entry.index != host_.applied.Next()) {
      out->broken = "entry " + std::to_string(entry.index.value) + " was decided after entry " +
                    std::to_string(host_.applied.value);
    }
    host_.applied = entry.index;
    out->decided.push_back(std::move(entry));
  }
  core_->Step(consensus::Applied{host_.applied});
}

std::vector<consensus::Entry> Replica::Load(const consensus::LoadLog& wanted) const {
  std::vector<consensus::Entry> entries;
  std::uint64_t bytes = 0;
  for (auto it = written_.log.lower_bound(wanted.first); it != written_.log.end() && it->first <= wanted.last; ++it) {
    bytes += it->second.payload.size();
    if (!entries.empty() && bytes > wanted.bytes_max) break;
    entries.push_back(it->second);
  }
  return entries;
}

// ---- Looking at it

const consensus::Entry* Replica::LogAt(LogIndex index) const {
  const auto found = written_.log.find(index);
  return found == written_.log.end() ? nullptr : &found->second;
}

std::uint64_t Replica::Fingerprint() const {
  Hasher h;
  h.Add(id()).Add(doomed_ ? 1 : 0).Add(incarnation_).Add(core_->Fingerprint()).Add(host_.applied).Add(proposed_);
  AddDisk(disk_, &h);
  h.Add(host_.pending.size());
  for (const consensus::WriteBatch& batch : host_.pending) AddBatch(batch, &h);
  for (const auto& [peer, queue] : host_.held) {
    if (queue.empty()) continue;
    h.Add(peer).Add(queue.size());
    for (const consensus::Outbound& message : queue) {
      // A batch is named by how many come before it: numbers count since the start, and equal states differ in them.
      h.Add(message.after.value - host_.persisted.value).Add(message.link).AddBytes(message.payload.view());
    }
  }
  for (const auto& [peer, link] : links_) h.Add(peer).Add(link);
  h.Add(static_cast<std::uint64_t>(leadership_.role)).Add(leadership_.ballot.number).Add(leadership_.ballot.owner);
  h.Add(leadership_.leader.value_or(ReplicaId())).Add(leadership_.established ? 1 : 0);
  return h.value();
}

}  // namespace quorate::sim::explore
