// Keyspace: the keyspace's directory, and what becomes of a damaged one under a good log.
//
// Used by Node at start and when the engine reports damage. Thread rule: blocking; the reactor's thread, at start and
// at the end only.
//
// The log is what a member must not lose; the keyspace is made from it. So a keyspace that does not open, or that was
// found damaged while running (a marker says so), is moved to keyspace.damaged-<n> and an empty one takes its place.
// What fills it is Group's to find: the log from its first entry, a snapshot file of this member, or the leader's
// state.
//
// Invariant: the marker goes only after the damaged directory has its new name, durably.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "env/disk.h"

namespace quorate::server {

class Keyspace {
 public:
  static constexpr char kDirectory[] = "keyspace";
  static constexpr char kMarker[] = "keyspace.damaged";

  explicit Keyspace(env::Disk& disk) : disk_(disk) {}

  // Runs `open`, which opens the engine in kDirectory and builds on it; after DATA_LOSS once more, with the damaged
  // directory out of the way. `open` REQUIRES that what a failed call had opened is closed when it returns.
  Status Open(const std::function<Status()>& open);
  // The engine met damage: the next start moves the keyspace aside. Returns what to stop with.
  Status MarkDamaged(const Status& why);
  const std::string& moved_to() const { return moved_to_; }  // by Open; empty = nowhere

 private:
  // A name that a power cut takes with it would take a whole keyspace, and the log below it may be gone by then.
  Status MakeDirectory();
  Status MoveAsideIfMarked();
  Status MoveAside(const std::string& why);

  env::Disk& disk_;
  std::string moved_to_;
};

}  // namespace quorate::server
