#include "replica/driver.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "replica/peer_message.h"

namespace quorate::replica {

Driver::Driver(DriverEnv env, std::unique_ptr<consensus::Core> core, DriverListener& listener)
    : env_(env),
      core_(std::move(core)),
      listener_(listener),
      decided_(env.machine.applied()),
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
  if (ready.write) Submit(*std::move(ready.write));
  Execute(ready.decided);
  for (const auto& [id, index] : ready.reads) listener_.OnReadReady(id, index);
  for (const ReadId id : ready.failed_reads) listener_.OnReadFailed(id);
  for (const consensus::Failed& failed : ready.failed) listener_.OnProposalFailed(failed);
  if (ready.load_log) Load(*ready.load_log);
  CHECK(ready.send_snapshot.empty()) << "a snapshot was asked for, and the log was never released";
}

void Driver::Submit(consensus::WriteBatch batch) {
  const PersistSeq seq = batch.seq;
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
  if (link == links_.end() || (out.link && out.link != link->second)) return;  // its session is over
  env_.transport.Send(out.to, EncodePeerMessage(env_.group, CoreMessage{out.payload}));
}

void Driver::SetLink(ReplicaId peer, LinkId link) {
  if (link) {
    links_[peer] = link;
  } else {
    links_.erase(peer);
  }
}

void Driver::Execute(const std::vector<consensus::Entry>& decided) {
  if (decided.empty()) return;
  for (const consensus::Entry& entry : decided) {
    CHECK(entry.index == decided_.Next()) << "entry " << entry.index.value << " decided after " << decided_.value;
    decided_ = entry.index;
    std::unique_ptr<Outcome> outcome = env_.machine.Apply(entry);
    CHECK(env_.machine.applied() == entry.index);
    listener_.OnExecuted(entry, std::move(outcome));
  }
  core_->Step(consensus::Applied{decided_});
}

void Driver::Load(consensus::LoadLog wanted) {
  env_.log.Load(
      env_.group, wanted,
      [this, first = wanted.first, alive = std::weak_ptr<const bool>(alive_)](std::vector<consensus::Entry> entries) {
        if (!alive.expired()) Step(consensus::LogLoaded{first, std::move(entries)});
      });
}

}  // namespace quorate::replica
