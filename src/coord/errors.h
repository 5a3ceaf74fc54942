// The native errors of the store: etcd's codes and texts, to the letter, because clients match on the text.
//
// Used within coord/ only; frontends of other protocols map the codes. Stateless, no thread rule.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace quorate::coord::errors {

inline Status EmptyKey() {
  return Status::InvalidArgument("etcdserver: key is not provided");
}
inline Status KeyNotFound() {
  return Status::InvalidArgument("etcdserver: key not found");
}
inline Status ValueProvided() {
  return Status::InvalidArgument("etcdserver: value is provided");
}
inline Status LeaseProvided() {
  return Status::InvalidArgument("etcdserver: lease is provided");
}
inline Status TooManyOps() {
  return Status::InvalidArgument("etcdserver: too many operations in txn request");
}
inline Status DuplicateKey() {
  return Status::InvalidArgument("etcdserver: duplicate key given in txn request");
}
inline Status InvalidSortOption() {
  return Status::InvalidArgument("etcdserver: invalid sort option");
}
inline Status Compacted() {
  return Status::OutOfRange("etcdserver: mvcc: required revision has been compacted");
}
inline Status FutureRevision() {
  return Status::OutOfRange("etcdserver: mvcc: required revision is a future revision");
}
inline Status LeaseNotFound() {
  return Status::NotFound("etcdserver: requested lease not found");
}
inline Status LeaseExists() {
  return Status::FailedPrecondition("etcdserver: lease already exists");
}
inline Status LeaseTtlTooLarge() {
  return Status::OutOfRange("etcdserver: too large lease TTL");
}
// Not etcd's: a command would bring more of the keyspace into memory than one command may.
inline Status ReadsTooMuch() {
  return Status::ResourceExhausted(
      "quorate: the values that this request reads have more than 64 MiB; read them in several requests");
}
// Not etcd's: of native sessions.
inline Status SessionNotFound(SessionId id) {
  return Status::NotFound("quorate: session " + std::to_string(id.value) + " has ended, or never was");
}
inline Status SessionExists(SessionId id) {
  return Status::FailedPrecondition("quorate: session " + std::to_string(id.value) + " exists already");
}
inline Status SessionTtlOutOfRange() {
  return Status::OutOfRange("quorate: a session's TTL must be between 100 ms and one day");
}
inline Status SessionTurnTaken(SessionId id, std::uint64_t sequence) {
  return Status::FailedPrecondition("quorate: command " + std::to_string(sequence) + " of session " +
                                    std::to_string(id.value) + " had its turn already");
}
inline Status SessionGap(SessionId id, std::uint64_t sequence, std::uint64_t last) {
  return Status::FailedPrecondition("quorate: command " + std::to_string(sequence) + " of session " +
                                    std::to_string(id.value) + " came without its predecessor: the last one was " +
                                    std::to_string(last));
}

inline Status AnswerTooLarge(std::uint64_t bytes_max) {
  return Status::ResourceExhausted("quorate: the answer has more than " + std::to_string(bytes_max >> 20) +
                                   " MiB, which is what one may have here (a quarter of --memory): ask with a limit, "
                                   "for keys only, or for a part of the range");
}

inline Status NoSpace() {
  return Status::ResourceExhausted("etcdserver: mvcc: database space exceeded");
}
inline Status Corrupt() {
  return Status::DataLoss("etcdserver: corrupt cluster");
}
inline Status NotCapable() {
  return Status::FailedPrecondition("etcdserver: not capable");
}
inline Status MemberExists() {
  return Status::FailedPrecondition("etcdserver: member ID already exist");
}
inline Status PeerUrlExists() {
  return Status::FailedPrecondition("etcdserver: Peer URLs already exists");
}
inline Status MemberNotFound() {
  return Status::NotFound("etcdserver: member not found");
}
inline Status BadMemberUrls() {
  return Status::InvalidArgument("etcdserver: given member URLs are invalid");
}
inline Status NotEnoughStarted() {
  return Status::FailedPrecondition("etcdserver: re-configuration failed due to not enough started members");
}
inline Status NotALearner() {
  return Status::FailedPrecondition("etcdserver: can only promote a learner member");
}
inline Status LearnerNotReady() {
  return Status::FailedPrecondition("etcdserver: can only promote a learner member which is in sync with leader");
}
inline Status TooManyLearners() {
  return Status::FailedPrecondition("etcdserver: too many learner members in cluster");
}

}  // namespace quorate::coord::errors
