// Admission: the one step before every operation of every model, commands and reads alike. What it refuses is not
// executed; there is no way round it.
//
// Owned by Machine, which calls it first in Apply and in every read. Thread rule: the owner's thread. For commands it
// must be deterministic: it may look at the tables and at the command, at nothing else.
//
// Each rule is a function of its own; the features behind them (authentication, quota, locks, transactions across
// groups, idempotency) fill them in. Order matters: a session's turn first (admission.cc says why), and who may not act
// learns nothing of the rest.
#pragma once

#include <string_view>

#include "base/result.h"
#include "coord/command.h"

namespace quorate::coord {

class Alarms;
class FeatureLevel;
class Sessions;

class Admission {
 public:
  Admission(const Alarms& alarms, const FeatureLevel& level, Sessions& sessions)
      : alarms_(alarms), level_(level), sessions_(sessions) {}

  // A command of a native session has its turn by this, whether it is admitted or not.
  Status AdmitCommand(const Command& command);
  // `key`, `end`: the range that is read, as in RangeRequest.
  Status AdmitRead(std::string_view key, std::string_view end) const;

 private:
  Status CheckAuth(const Envelope& envelope, const CommandBody& body) const;
  Status CheckLevel(const CommandBody& body) const;
  Status CheckAlarms(const CommandBody& body) const;
  Status CheckFences(const Envelope& envelope) const;
  Status CheckIntents(const CommandBody& body) const;
  Status CheckDuplicate(const Envelope& envelope) const;
  Status CheckSessionGap(const Envelope& envelope);
  Status CheckReadAuth(std::string_view key, std::string_view end) const;
  Status CheckReadIntents(std::string_view key, std::string_view end) const;

  const Alarms& alarms_;
  const FeatureLevel& level_;
  Sessions& sessions_;
};

}  // namespace quorate::coord
