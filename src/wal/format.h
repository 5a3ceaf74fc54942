// What the log's files look like, byte for byte. docs/disk-format.md has the tables and the reasons; a change here is a
// change there, and raises kFormatVersion.
//
//   identity            who the directory belongs to and its incarnation
//   NNNNNNNNNN.segment  header, then writes one after another, then zeros
//   write               header (number, durable mark, checksum that covers where it stands), then its records
//   record              header (type, length, checksum), then its body: a batch, a group's state at a segment's start,
//   a
//                       release, or entries rewritten forward
//   archive/NNNNNNNNNN-SECONDS.segment  a released segment that is kept
//
// Called by log.cc, recovery.cc and tests. Decoders take any bytes: they never read past their input and never abort.
// Thread rule: plain functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "wal/log.h"

namespace quorate::wal {

inline constexpr std::uint32_t kFormatVersion = 1;

// ---- identity: replaced as a whole by write-new, sync, rename, sync of the directory

struct IdentityFile {
  Identity identity;
  Incarnation incarnation;  // of the last start that completed
};
std::string EncodeIdentityFile(const IdentityFile& identity);
// DATA_LOSS: damaged; UNIMPLEMENTED: of a newer format. The messages do not name the file: the caller does.
Result<IdentityFile> DecodeIdentityFile(std::string_view content);

// ---- segments

using SegmentNumber = std::uint32_t;  // from 1, without gaps, never reused

struct SegmentHeader {
  ClusterId cluster;
  ReplicaId self;
  SegmentNumber number = 0;
};
inline constexpr std::uint32_t kSegmentHeaderBytes = 64;
std::string EncodeSegmentHeader(const SegmentHeader& header);
Result<SegmentHeader> DecodeSegmentHeader(std::string_view content);  // as DecodeIdentityFile

std::string SegmentName(SegmentNumber number);
std::optional<SegmentNumber> ParseSegmentName(std::string_view name);

// A segment in the archive, with the wall time at which it came there.
struct ArchivedName {
  SegmentNumber number = 0;
  std::uint64_t seconds = 0;
};
std::string ArchivedSegmentName(const ArchivedName& name);
std::optional<ArchivedName> ParseArchivedSegmentName(std::string_view name);

// ---- writes: what one sync covers

// Where a write stands. Part of its checksum though not written: so a copy of a write inside somebody's value, in
// another member's file, or misdirected by the disk is not taken for one.
struct WritePlace {
  ClusterId cluster;
  ReplicaId self;
  SegmentNumber segment = 0;
  std::uint32_t offset = 0;  // in the segment
};

struct WriteHeader {
  std::uint32_t version = kFormatVersion;
  std::uint32_t body_bytes = 0;  // of the records that follow
  std::uint64_t number = 0;      // from 1, without gaps through the whole log
  std::uint64_t durable = 0;     // the mark: every write up to this one was synced before this one began
  Incarnation incarnation;
  SegmentNumber oldest_segment = 0;  // a start needs this one and all after it; older ones may be there or not
  SegmentNumber newest_segment = 0;  // and this one exists
};
inline constexpr std::uint32_t kWriteHeaderBytes = 48;
inline constexpr std::string_view kWriteMagic = "QwrT";
// Writes kWriteHeaderBytes to `out`.
void EncodeWriteHeader(const WriteHeader& header, const WritePlace& place, char* out);
// None unless a write of this log begins at this place. A newer version is returned as such.
std::optional<WriteHeader> DecodeWriteHeader(std::string_view input, const WritePlace& place);

// ---- records

enum class RecordType : std::uint8_t { kBatch = 1, kGroupState = 2, kRelease = 3, kRewritten = 4 };

inline constexpr std::uint32_t kRecordHeaderBytes = 12;

struct Record {
  std::uint8_t version = 0;
  std::uint8_t type = 0;
  std::string_view body;
  std::size_t size() const { return kRecordHeaderBytes + body.size(); }
};
// None: the bytes do not begin with a whole record whose checksum is right. `check` off skips the checksum.
std::optional<Record> DecodeRecord(std::string_view input, bool check = true);

// A WriteBatch as it is found again.
struct Batch {
  GroupId group;
  Incarnation incarnation;
  consensus::WriteBatch batch;
};
void AppendBatch(GroupId group, Incarnation incarnation, const consensus::WriteBatch& batch, Writer* out);
// Entries share the body's memory.
std::optional<Batch> DecodeBatch(const Bytes& body);

// A group's state before the write that carries it: each segment begins with one per group, so older segments are
// needed only for entries.
struct GroupState {
  GroupId group;
  Incarnation incarnation;
  std::optional<Bytes> hard_state;
  consensus::SnapshotMeta snapshot;
  LogIndex first;  // of the entries after the snapshot; 0 = none
  LogIndex last;   // of the log, wherever the entries stand; 0 = none since the last installed snapshot
};
void AppendGroupState(const GroupState& state, Writer* out);
std::optional<GroupState> DecodeGroupState(const Bytes& body);

// The log up to snapshot.last is not needed any more: the snapshot of the group's state is this one now.
struct Release {
  GroupId group;
  Incarnation incarnation;
  consensus::SnapshotMeta snapshot;
};
void AppendRelease(const Release& release, Writer* out);
std::optional<Release> DecodeRelease(const Bytes& body);

// Entries of the log as it was before the write that carries them, copied out of an older segment.
struct Rewritten {
  GroupId group;
  Incarnation incarnation;
  std::vector<consensus::Entry> entries;
};
void AppendRewritten(const Rewritten& rewritten, Writer* out);
std::optional<Rewritten> DecodeRewritten(const Bytes& body);  // as DecodeBatch

// The entries that a batch or rewritten record put, and the last word on each index. None: neither, or it does not
// decode.
std::optional<std::map<LogIndex, consensus::Entry>> DecodeEntries(const Record& record);

}  // namespace quorate::wal
