#include "wal/format.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "consensus/meta_codec.h"

namespace quorate::wal {
namespace {

constexpr std::string_view kIdentityMagic = "QUORATEI";
constexpr std::string_view kSegmentMagic = "QUORATES";
constexpr std::string_view kRecordMagic = "Qr";
constexpr std::string_view kSegmentSuffix = ".segment";
constexpr std::size_t kSegmentDigits = 10;
constexpr std::uint32_t kIdentityBytes = 64;
constexpr std::size_t kCrcBytes = sizeof(std::uint32_t);

enum class OpCode : std::uint8_t { kPutEntry = 1, kTruncateAfter = 2, kInstallSnapshot = 3 };

constexpr std::uint8_t kHasHardState = 1;
constexpr std::uint8_t kNoSync = 2;

void Store32(char* out, std::uint32_t v) {
  std::memcpy(out, &v, sizeof v);
}
void Store64(char* out, std::uint64_t v) {
  std::memcpy(out, &v, sizeof v);
}

// Both small files begin alike in every format version: magic, version, length of the header; its last four bytes are
// the checksum of the rest. So a newer version is told from damage.
void BeginHeader(std::string_view magic, std::uint32_t bytes, Writer* out) {
  out->PutRaw(magic);
  out->Put32(kFormatVersion);
  out->Put32(bytes);
}
std::string EndHeader(std::uint32_t bytes, Writer out) {
  std::string text = std::move(out).Take();
  CHECK(text.size() + kCrcBytes <= bytes);
  text.resize(bytes - kCrcBytes);
  Writer crc;
  crc.Put32(Crc32c(text));
  return text + crc.str();
}

Result<Reader> OpenHeader(std::string_view magic, std::string_view what, std::string_view content) {
  Reader reader(content);
  if (reader.GetRaw(magic.size()) != magic) return Status::DataLoss("does not begin with a " + std::string(what));
  const std::uint32_t version = reader.Get32();
  const std::uint32_t bytes = reader.Get32();
  if (!reader.ok() || bytes < magic.size() + 3 * kCrcBytes || bytes > content.size()) {
    return Status::DataLoss("the " + std::string(what) + " is cut short");
  }
  const std::string_view covered = content.substr(0, bytes - kCrcBytes);
  if (Reader(content.substr(covered.size())).Get32() != Crc32c(covered)) {
    return Status::DataLoss("the checksum of the " + std::string(what) + " is wrong");
  }
  if (version != kFormatVersion) {
    return Status{StatusCode::kUnimplemented, "the " + std::string(what) + " has format version " +
                                                  std::to_string(version) + ", and this build reads only version " +
                                                  std::to_string(kFormatVersion) +
                                                  ": start it with the newer build that wrote it"};
  }
  return reader;
}

std::uint32_t PlaceSeed(const WritePlace& place) {
  char raw[24];
  Store64(raw, place.cluster.value);
  Store64(raw + 8, place.self.value);
  Store32(raw + 16, place.segment);
  Store32(raw + 20, place.offset);
  return Crc32c({raw, sizeof raw});
}

// Appends a record whose body `fill` writes; length and checksum are filled in afterwards.
template <class Fill>
void AppendRecord(RecordType type, Writer* out, Fill fill) {
  const std::size_t start = out->size();
  out->PutRaw(kRecordMagic);
  out->Put8(static_cast<std::uint8_t>(kFormatVersion));
  out->Put8(static_cast<std::uint8_t>(type));
  out->Put64(0);  // length, checksum
  fill();
  char* record = out->mutable_str()->data() + start;
  const std::size_t body = out->size() - start - kRecordHeaderBytes;
  CHECK(body < (1u << 31)) << body;
  Store32(record + 4, static_cast<std::uint32_t>(body));
  const std::uint32_t crc = Crc32c({record, 8});
  Store32(record + 8, ExtendCrc32c(crc, {record + kRecordHeaderBytes, body}));
}

struct OpWriter {
  Writer* out;

  void operator()(const consensus::PutEntry& put) const {
    out->Put8(static_cast<std::uint8_t>(OpCode::kPutEntry));
    out->PutId(put.entry.index);
    const std::size_t length_at = out->size();
    out->Put32(0);
    consensus::EncodeEntry(put.entry, out->mutable_str());
    Store32(out->mutable_str()->data() + length_at,
            static_cast<std::uint32_t>(out->size() - length_at - sizeof(std::uint32_t)));
  }
  void operator()(const consensus::TruncateAfter& truncate) const {
    out->Put8(static_cast<std::uint8_t>(OpCode::kTruncateAfter));
    out->PutId(truncate.last_kept);
  }
  void operator()(const consensus::InstallSnapshot& install) const {
    out->Put8(static_cast<std::uint8_t>(OpCode::kInstallSnapshot));
    consensus::PutSnapshotMeta(install.meta, out);
  }
};

std::optional<consensus::LogOp> GetOp(const Bytes& body, Reader* in) {
  switch (static_cast<OpCode>(in->Get8())) {
    case OpCode::kPutEntry: {
      const LogIndex index = in->GetId<LogIndex>();
      const std::uint32_t length = in->Get32();
      std::optional<consensus::Entry> entry = consensus::DecodeEntry(body.SliceOf(in->GetRaw(length)));
      if (!in->ok() || !entry) return std::nullopt;
      entry->index = index;
      return consensus::PutEntry{std::move(*entry)};
    }
    case OpCode::kTruncateAfter:
      return consensus::TruncateAfter{in->GetId<LogIndex>()};
    case OpCode::kInstallSnapshot:
      return consensus::InstallSnapshot{consensus::GetSnapshotMeta(in)};
  }
  return std::nullopt;
}

}  // namespace

std::string EncodeIdentityFile(const IdentityFile& identity) {
  Writer out;
  BeginHeader(kIdentityMagic, kIdentityBytes, &out);
  out.Put64(identity.identity.cluster.value);
  out.Put64(identity.identity.self.value);
  out.Put8(static_cast<std::uint8_t>(identity.identity.protocol));
  out.Put64(identity.incarnation.value);
  return EndHeader(kIdentityBytes, std::move(out));
}

Result<IdentityFile> DecodeIdentityFile(std::string_view content) {
  Result<Reader> opened = OpenHeader(kIdentityMagic, "quorate identity", content);
  if (!opened.ok()) return opened.status();
  Reader& reader = opened.value();
  IdentityFile file;
  file.identity.cluster = ClusterId(reader.Get64());
  file.identity.self = ReplicaId(reader.Get64());
  const std::uint8_t protocol = reader.Get8();
  file.incarnation = Incarnation(reader.Get64());
  if (!reader.ok() || protocol < 1 || protocol > 3) return Status::DataLoss("the quorate identity does not decode");
  file.identity.protocol = static_cast<consensus::Protocol>(protocol);
  return file;
}

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  Writer out;
  BeginHeader(kSegmentMagic, kSegmentHeaderBytes, &out);
  out.Put64(header.cluster.value);
  out.Put64(header.self.value);
  out.Put32(header.number);
  return EndHeader(kSegmentHeaderBytes, std::move(out));
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view content) {
  Result<Reader> opened = OpenHeader(kSegmentMagic, "segment header", content);
  if (!opened.ok()) return opened.status();
  Reader& reader = opened.value();
  SegmentHeader header;
  header.cluster = ClusterId(reader.Get64());
  header.self = ReplicaId(reader.Get64());
  header.number = reader.Get32();
  if (!reader.ok()) return Status::DataLoss("the segment header does not decode");
  return header;
}

std::string SegmentName(SegmentNumber number) {
  std::string digits = std::to_string(number);
  digits.insert(0, kSegmentDigits - digits.size(), '0');
  return digits.append(kSegmentSuffix);
}

namespace {

std::optional<std::uint64_t> ParseNumber(std::string_view digits) {
  if (digits.empty() || digits.size() > 18) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

}  // namespace

std::optional<SegmentNumber> ParseSegmentName(std::string_view name) {
  if (name.size() != kSegmentDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) return std::nullopt;
  const std::optional<std::uint64_t> number = ParseNumber(name.substr(0, kSegmentDigits));
  if (!number || *number == 0 || *number > UINT32_MAX) return std::nullopt;
  return static_cast<SegmentNumber>(*number);
}

std::string ArchivedSegmentName(const ArchivedName& name) {
  const std::string plain = SegmentName(name.number);
  std::string archived = plain.substr(0, kSegmentDigits);
  return archived.append("-").append(std::to_string(name.seconds)).append(plain.substr(kSegmentDigits));
}

std::optional<ArchivedName> ParseArchivedSegmentName(std::string_view name) {
  if (name.size() <= kSegmentDigits + 1 || name[kSegmentDigits] != '-') return std::nullopt;
  std::string plain(name.substr(0, kSegmentDigits));
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::optional<SegmentNumber> number = ParseSegmentName(plain.append(name.substr(dot)));
  const std::optional<std::uint64_t> seconds = ParseNumber(name.substr(kSegmentDigits + 1, dot - kSegmentDigits - 1));
  if (!number || !seconds) return std::nullopt;
  return ArchivedName{*number, *seconds};
}

void EncodeWriteHeader(const WriteHeader& header, const WritePlace& place, char* out) {
  std::memcpy(out, kWriteMagic.data(), kWriteMagic.size());
  Store32(out + 4, header.version);
  Store32(out + 8, header.body_bytes);
  Store64(out + 12, header.number);
  Store64(out + 20, header.durable);
  Store64(out + 28, header.incarnation.value);
  Store32(out + 36, header.oldest_segment);
  Store32(out + 40, header.newest_segment);
  Store32(out + 44, ExtendCrc32c(PlaceSeed(place), {out, kWriteHeaderBytes - kCrcBytes}));
}

std::optional<WriteHeader> DecodeWriteHeader(std::string_view input, const WritePlace& place) {
  Reader reader(input);
  if (reader.GetRaw(kWriteMagic.size()) != kWriteMagic || input.size() < kWriteHeaderBytes) return std::nullopt;
  WriteHeader header;
  header.version = reader.Get32();
  header.body_bytes = reader.Get32();
  header.number = reader.Get64();
  header.durable = reader.Get64();
  header.incarnation = Incarnation(reader.Get64());
  header.oldest_segment = reader.Get32();
  header.newest_segment = reader.Get32();
  const std::string_view covered = input.substr(0, kWriteHeaderBytes - kCrcBytes);
  if (reader.Get32() != ExtendCrc32c(PlaceSeed(place), covered)) return std::nullopt;
  return header;
}

std::optional<Record> DecodeRecord(std::string_view input, bool check) {
  Reader reader(input);
  if (reader.GetRaw(kRecordMagic.size()) != kRecordMagic) return std::nullopt;
  Record record;
  record.version = reader.Get8();
  record.type = reader.Get8();
  const std::uint32_t length = reader.Get32();
  const std::uint32_t crc = reader.Get32();
  record.body = reader.GetRaw(length);
  if (!reader.ok()) return std::nullopt;
  if (check && ExtendCrc32c(Crc32c(input.substr(0, 8)), record.body) != crc) return std::nullopt;
  return record;
}

void AppendBatch(GroupId group, Incarnation incarnation, const consensus::WriteBatch& batch, Writer* out) {
  AppendRecord(RecordType::kBatch, out, [&] {
    out->PutId(group);
    out->PutId(incarnation);
    out->PutId(batch.seq);
    out->Put8(static_cast<std::uint8_t>((batch.hard_state ? kHasHardState : 0) | (batch.sync ? 0 : kNoSync)));
    if (batch.hard_state) out->PutBytes(batch.hard_state->view());
    out->PutVarint(batch.ops.size());
    for (const consensus::LogOp& op : batch.ops) std::visit(OpWriter{out}, op);
  });
}

std::optional<Batch> DecodeBatch(const Bytes& body) {
  Reader reader(body.view());
  Batch found;
  found.group = reader.GetId<GroupId>();
  found.incarnation = reader.GetId<Incarnation>();
  found.batch.seq = reader.GetId<PersistSeq>();
  const std::uint8_t flags = reader.Get8();
  found.batch.sync = (flags & kNoSync) == 0;
  if ((flags & kHasHardState) != 0) found.batch.hard_state = body.SliceOf(reader.GetBytes());
  const std::size_t count = reader.GetCount(2);
  found.batch.ops.reserve(std::min<std::size_t>(count, 1024));
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<consensus::LogOp> op = GetOp(body, &reader);
    if (!op) return std::nullopt;
    found.batch.ops.push_back(std::move(*op));
  }
  if (!reader.Done()) return std::nullopt;
  return found;
}

void AppendGroupState(const GroupState& state, Writer* out) {
  AppendRecord(RecordType::kGroupState, out, [&] {
    out->PutId(state.group);
    out->PutId(state.incarnation);
    out->Put8(state.hard_state ? kHasHardState : 0);
    if (state.hard_state) out->PutBytes(state.hard_state->view());
    consensus::PutSnapshotMeta(state.snapshot, out);
    out->PutId(state.first);
    out->PutId(state.last);
  });
}

std::optional<GroupState> DecodeGroupState(const Bytes& body) {
  Reader reader(body.view());
  GroupState state;
  state.group = reader.GetId<GroupId>();
  state.incarnation = reader.GetId<Incarnation>();
  const std::uint8_t flags = reader.Get8();
  if ((flags & kHasHardState) != 0) state.hard_state = body.SliceOf(reader.GetBytes());
  state.snapshot = consensus::GetSnapshotMeta(&reader);
  state.first = reader.GetId<LogIndex>();
  state.last = reader.GetId<LogIndex>();
  if (!reader.Done()) return std::nullopt;
  return state;
}

void AppendRelease(const Release& release, Writer* out) {
  AppendRecord(RecordType::kRelease, out, [&] {
    out->PutId(release.group);
    out->PutId(release.incarnation);
    consensus::PutSnapshotMeta(release.snapshot, out);
  });
}

std::optional<Release> DecodeRelease(const Bytes& body) {
  Reader reader(body.view());
  Release release;
  release.group = reader.GetId<GroupId>();
  release.incarnation = reader.GetId<Incarnation>();
  release.snapshot = consensus::GetSnapshotMeta(&reader);
  if (!reader.Done()) return std::nullopt;
  return release;
}

void AppendRewritten(const Rewritten& rewritten, Writer* out) {
  AppendRecord(RecordType::kRewritten, out, [&] {
    out->PutId(rewritten.group);
    out->PutId(rewritten.incarnation);
    out->PutVarint(rewritten.entries.size());
    for (const consensus::Entry& entry : rewritten.entries) OpWriter{out}(consensus::PutEntry{entry});
  });
}

std::optional<Rewritten> DecodeRewritten(const Bytes& body) {
  Reader reader(body.view());
  Rewritten found;
  found.group = reader.GetId<GroupId>();
  found.incarnation = reader.GetId<Incarnation>();
  for (std::size_t count = reader.GetCount(2); count > 0; --count) {
    std::optional<consensus::LogOp> op = GetOp(body, &reader);
    auto* put = op ? std::get_if<consensus::PutEntry>(&*op) : nullptr;
    if (put == nullptr) return std::nullopt;
    found.entries.push_back(std::move(put->entry));
  }
  if (!reader.Done()) return std::nullopt;
  return found;
}

std::optional<std::map<LogIndex, consensus::Entry>> DecodeEntries(const Record& record) {
  std::map<LogIndex, consensus::Entry> entries;
  const Bytes body = Bytes::Copy(record.body);
  if (record.type == static_cast<std::uint8_t>(RecordType::kBatch)) {
    std::optional<Batch> batch = DecodeBatch(body);
    if (!batch) return std::nullopt;
    for (consensus::LogOp& op : batch->batch.ops) {
      if (auto* put = std::get_if<consensus::PutEntry>(&op)) entries[put->entry.index] = std::move(put->entry);
    }
    return entries;
  }
  if (record.type != static_cast<std::uint8_t>(RecordType::kRewritten)) return std::nullopt;
  std::optional<Rewritten> rewritten = DecodeRewritten(body);
  if (!rewritten) return std::nullopt;
  for (consensus::Entry& entry : rewritten->entries) entries[entry.index] = std::move(entry);
  return entries;
}

}  // namespace quorate::wal
