// The availability check: writes at a fixed rate to all members, each to a key of its own and sent once, whatever
// happens to the servers; then every acknowledged one is read back.
//
// Used by `quorate bench availability`. Thread rule: RunAvailability runs its own event loop on the calling thread.
// Rules of the run:
//  1. Writes are due at fixed times, answered or not (open loop), and are dealt to the connections in turn.
//  2. A write that is not answered in time ends its connection, which goes on at the next endpoint; what else was in
//     flight there has an unknown outcome. One that no connection could take in time is never sent.
//  3. Afterwards, over new connections, every acknowledged write is read linearizably. One that is missing is looked
//     for again: if it is never there it is lost, if it appears a read was stale.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench/write_record.h"
#include "client/etcd_client.h"

namespace quorate::cli {

struct AvailabilityOptions {
  std::vector<client::Endpoint> endpoints;
  double seconds = 10;
  double rate = 500;  // writes a second
  int conns = 0;      // 0 = four for each endpoint
  std::size_t value_bytes = 128;
  double timeout_seconds = 0.5;
  double gap_seconds = 0.1;     // gaps from this length on are listed
  double verify_seconds = 60;   // without a single answer before reading back is given up
  double fault_at_seconds = 0;  // when fault_command is run, by sh
  std::string fault_command;
  std::string history_file;  // one line of JSON for each operation
};

struct AvailabilityReport {
  std::vector<WriteRecord> writes;
  std::vector<Gap> gaps;
  std::uint64_t begin_ns = 0;
  std::uint64_t longest_gap_ns = 0;
  std::optional<std::uint64_t> fault_to_end_of_gap_ns;  // of the longest gap that ended after the fault
  std::map<std::string, std::uint64_t> errors;          // by kind
  std::uint64_t lost = 0;                               // acknowledged, and not there
  std::uint64_t stale = 0;                              // there, but not for the first linearizable read
  std::uint64_t altered = 0;                            // there, with another value, revision or version
  std::uint64_t unverifiable = 0;                       // no answer
  std::uint64_t reused_revisions = 0;
  std::uint64_t order_violations = 0;

  std::uint64_t Count(WriteOutcome outcome) const;
  bool good() const { return lost + stale + altered + reused_revisions + order_violations == 0; }
};

// UNAVAILABLE when no member could be reached at all.
Result<AvailabilityReport> RunAvailability(const AvailabilityOptions& options);

}  // namespace quorate::cli
