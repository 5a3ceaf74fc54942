#include "replica/driver.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "replica/peer_message.h"

namespace quorate::replica {

Driver::Driver(DriverEnv env, std::unique_ptr<consensus::Core> core, LogIndex log_start, DriverListener& listener)
    : env_(env),
      core_(std::move(core)),
      listener_(listener),
      log_start_(log_start),
      applied_told_(std::max(env.machine.applied(), log_start)),
      apply_(env.machine, applied_told_, [this] { SchedulePump(); }),
      installer_(env.machine, apply_,
                 {[this] {
                    TellApplied();
                    SchedulePump();
                  },
                  [this](const Status& status) { listener_.OnFailure(status); }}),
      alive_(std::make_shared<const bool>(true)) {}

void Driver::Step(consensus::Event event) {
  core_->Step(std::move(event));
  SchedulePump();
}

void Driver::SchedulePump() {
  if (pump_scheduled_) return;
  pump_scheduled_ = true;
  env_.executor.Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) Pump();
  });
}

void Driver::Pump() {
  pump_scheduled_ = false;
  listener_.BeforePump();
  Execute();  // what waited for its data, or for a snapshot
  while (core_->HasReady()) Act(core_->TakeReady());
  listener_.AfterPump(env_.machine.applied());
}

void Driver::Act(consensus::Ready ready) {
  if (ready.leadership) {
    env_.machine.OnLeadership(*ready.leadership, env_.clock.MonotonicNs());
    listener_.OnLeadership(*ready.leadership);
  }
  if (ready.membership) listener_.OnMembership(*ready.membership);
  // Messages that wait for nothing leave before the write is handed over: a leader's appends overlap its own sync.
  Send(std::move(ready.outbound));
  Take(std::move(ready.decided));  // before a snapshot that the batch may install covers them
  if (ready.write) Submit(*std::move(ready.write));
  Execute();
  for (const auto& [id, index] : ready.reads) listener_.OnReadReady(id, index);
  for (const ReadId id : ready.failed_reads) listener_.OnReadFailed(id);
  for (const consensus::Failed& failed : ready.failed) listener_.OnProposalFailed(failed);
  if (ready.load_log) Load(*ready.load_log);
  for (const consensus::SendSnapshot& wanted : ready.send_snapshot) listener_.OnSendSnapshot(wanted.to);
}

void Driver::Submit(consensus::WriteBatch batch) {
  const PersistSeq seq = batch.seq;
  for (const consensus::LogOp& op : batch.ops) {
    const auto* install = std::get_if<consensus::InstallSnapshot>(&op);
    if (install == nullptr) continue;
    installer_.Submitted(seq, install->meta);
    listener_.OnLogRestarted(install->meta.last);
  }
  env_.log.Submit(env_.group, std::move(batch), [this, seq, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) OnPersisted(seq);
  });
}

void Driver::OnPersisted(PersistSeq seq) {
  CHECK(seq > persisted_) << "batch " << seq.value << " became durable after " << persisted_.value;
  persisted_ = seq;
  for (auto& [peer, queue] : held_) {
    while (!queue.empty() && queue.front().after <= persisted_) {
      SendNow(queue.front());
      queue.pop_front();
    }
  }
  Step(consensus::Persisted{seq});
  installer_.Persisted(seq);
}

void Driver::Send(std::vector<consensus::Outbound> outbound) {
  const bool fifo = core_->traits().needs_fifo_links;
  for (consensus::Outbound& out : outbound) {
    Queue& queue = held_[out.to];
    const bool durable = out.after <= persisted_ || QUORATE_BUG(replica_sends_before_durable);
    if (durable && (queue.empty() || !fifo)) {
      SendNow(out);
      continue;
    }
    // Behind a message that is held its own batch may be the earlier one; the queue is released from the front.
    if (!queue.empty()) out.after = std::max(out.after, queue.back().after);
    queue.push_back(std::move(out));
  }
}

void Driver::SendNow(const consensus::Outbound& out) {
  const auto link = links_.find(out.to);
  if (link == links_.end() || (out.link && out.link != link->second)) {  // its session is over
    QUORATE_PROBE(replica_held_message_outlives_its_session);
    return;
  }
  env_.transport.Send(out.to, EncodePeerMessage(env_.group, CoreMessage{out.payload}));
}

void Driver::SetLink(ReplicaId peer, LinkId link) {
  if (link) {
    links_[peer] = link;
  } else {
    links_.erase(peer);
  }
}

void Driver::Take(std::vector<consensus::Entry> decided) {
  if (decided.empty()) return;
  listener_.OnDecided(decided);
  apply_.Push(std::move(decided));
  installer_.Decided();
}

void Driver::Execute() {
  std::vector<LogIndex> memberships;
  const bool moved = apply_.Run([&](const consensus::Entry& entry, std::unique_ptr<Outcome> outcome) {
    if (entry.kind == consensus::EntryKind::kMembership) memberships.push_back(entry.index);
    listener_.OnExecuted(entry, std::move(outcome));
  });
  if (!moved) return;
  TellApplied();
  for (const LogIndex index : memberships) listener_.OnMembershipDecided(core_->MetaAt(index).members);
}

void Driver::TellApplied() {
  const LogIndex applied = env_.machine.applied();
  if (applied <= applied_told_) return;
  applied_told_ = applied;
  core_->Step(consensus::Applied{applied});
}

void Driver::Load(consensus::LoadLog wanted) {
  env_.log.Load(
      env_.group, wanted,
      [this, first = wanted.first, alive = std::weak_ptr<const bool>(alive_)](std::vector<consensus::Entry> entries) {
        if (!alive.expired()) Step(consensus::LogLoaded{first, std::move(entries)});
      });
}

}  // namespace quorate::replica
