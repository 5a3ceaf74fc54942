#include "replica/snapshot_file.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "consensus/meta_codec.h"

namespace quorate::replica {
namespace {

constexpr std::string_view kMagic = "QSNP";
constexpr std::string_view kChunkMagic = "Qs";
constexpr std::uint8_t kChunkVersion = 1;
enum ChunkType : std::uint8_t { kRows = 1, kEnd = 2 };
constexpr std::size_t kPreambleBytes = 12;     // magic, version, length of the whole header
constexpr std::size_t kChunkHeaderBytes = 12;  // magic, version, type, length of the body, checksum
constexpr std::uint32_t kHeaderBytesMax = 1 << 20;
constexpr std::uint32_t kChunkBodyBytesMax = 256 << 20;  // one row of the largest request, with room to spare
constexpr std::size_t kEndBodyBytesMin = 16;             // count of rows, length of the file

std::string SealChunk(ChunkType type, std::string_view body) {
  Writer w(kChunkHeaderBytes + body.size());
  w.PutRaw(kChunkMagic);
  w.Put8(kChunkVersion);
  w.Put8(type);
  w.Put32(static_cast<std::uint32_t>(body.size()));
  w.Put32(ExtendCrc32c(Crc32c(w.str()), body));
  w.PutRaw(body);
  return std::move(w).Take();
}

Status Damaged(std::uint64_t offset, const std::string& what) {
  return Status::DataLoss("the snapshot is damaged at offset " + std::to_string(offset) + ": " + what);
}

Status Newer(std::uint64_t version) {
  return {StatusCode::kUnimplemented, "the snapshot has format version " + std::to_string(version) +
                                          ", this build knows " + std::to_string(kSnapshotFormatVersion) +
                                          ": use the build that wrote it, or a newer one"};
}

std::string HexText(std::uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 16; i > 0; --i, value >>= 4) text[i - 1] = kDigits[value & 15];
  return text;
}

}  // namespace

std::uint64_t MakeSnapshotId(ClusterId cluster, ReplicaId self, Incarnation incarnation, std::uint64_t number) {
  Sha256 sha;
  Writer w;
  w.PutBytes("quorate snapshot");
  w.PutId(cluster);
  w.PutId(self);
  w.PutId(incarnation);
  w.PutVarint(number);
  sha.Add(w.str());
  const std::string digest = sha.Digest();
  const std::uint64_t id = Reader(digest).Get64() & ~(std::uint64_t{1} << 63);
  return id == 0 ? 1 : id;
}

struct Sha256::Context {
  Context() : sha(EVP_MD_CTX_new()) {
    CHECK(sha != nullptr && EVP_DigestInit_ex(sha, EVP_sha256(), nullptr) == 1) << "OpenSSL has no SHA-256";
  }
  ~Context() { EVP_MD_CTX_free(sha); }
  EVP_MD_CTX* sha;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;

void Sha256::Add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_->sha, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::Digest() const {
  const Context copy;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  CHECK(EVP_MD_CTX_copy_ex(copy.sha, context_->sha) == 1 && EVP_DigestFinal_ex(copy.sha, digest.data(), &length) == 1);
  CHECK(length == kSnapshotDigestBytes);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

std::string EncodeSnapshotHeader(const SnapshotHeader& header) {
  Writer fields;
  fields.PutId(header.cluster);
  fields.PutId(header.group);
  consensus::PutSnapshotMeta(header.meta, &fields);
  fields.PutVarint(static_cast<std::uint64_t>(header.revision));
  fields.PutVarint(header.feature_level);
  fields.Put64(header.state_hash);
  fields.PutSigned(header.created_wall_ns);
  Writer w;
  w.PutRaw(kMagic);
  w.Put32(kSnapshotFormatVersion);
  w.Put32(static_cast<std::uint32_t>(kPreambleBytes + fields.size() + 4));
  w.PutRaw(fields.str());
  w.Put32(Crc32c(w.str()));
  return std::move(w).Take();
}

std::string EncodeSnapshotRows(const std::vector<SnapshotRow>& rows) {
  std::string out;
  Writer body;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SnapshotRow& row = rows[i];
    body.Put8(row.table);
    body.PutBytes(row.key);
    body.PutBytes(row.value.view());
    const bool last = i + 1 == rows.size();
    const std::size_t next = last ? 0 : rows[i + 1].key.size() + rows[i + 1].value.size() + 32;
    if (!last && body.size() + next + kChunkHeaderBytes <= kSnapshotChunkBytes) continue;
    out += SealChunk(kRows, body.str());
    body.mutable_str()->clear();
  }
  return out;
}

std::string SnapshotWriter::Rows(const std::vector<SnapshotRow>& rows) {
  rows_ += rows.size();
  return Count(EncodeSnapshotRows(rows));
}

std::string SnapshotWriter::End() {
  const std::uint64_t bare = size_ + kChunkHeaderBytes + kEndBodyBytesMin;
  const std::uint64_t padding = (kSnapshotAlignment - bare % kSnapshotAlignment) % kSnapshotAlignment;
  Writer body;
  body.Put64(rows_);
  body.Put64(bare + padding + kSnapshotDigestBytes);
  body.PutRaw(std::string(padding, '\0'));
  std::string end = Count(SealChunk(kEnd, body.str()));
  const std::string digest = sha_.Digest();
  size_ += digest.size();
  return end + digest;
}

std::string SnapshotWriter::Count(std::string part) {
  sha_.Add(part);
  size_ += part.size();
  return part;
}

SnapshotReader::SnapshotReader(SnapshotExpectation expected, bool keep_rows)
    : expected_(expected), keep_rows_(keep_rows) {}

Status SnapshotReader::Add(std::string_view bytes) {
  if (!failure_.ok()) return failure_;
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
  offset_ += bytes.size();
  failure_ = Parse();
  return failure_;
}

Status SnapshotReader::Finish() const {
  if (!failure_.ok()) return failure_;
  if (complete()) return Status::Ok();
  if (offset_ == 0) return Status::DataLoss("the snapshot is empty");
  return Status::DataLoss("the snapshot is cut off at offset " + std::to_string(offset_) +
                          ": its end is missing. Save or send it again");
}

std::vector<SnapshotRow> SnapshotReader::TakeRows() {
  return std::exchange(rows_, {});
}

void SnapshotReader::Consume(std::size_t bytes) {
  sha_.Add(std::string_view(buffer_).substr(begin_, bytes));
  begin_ += bytes;
}

// Takes one part after the other, until the rest is not a whole one.
Status SnapshotReader::Parse() {
  for (;;) {
    Result<bool> parsed = false;
    switch (stage_) {
      case Stage::kHeader:
        parsed = ParseHeader();
        break;
      case Stage::kChunks:
        parsed = ParseChunk();
        break;
      case Stage::kDigest:
        parsed = ParseDigest();
        break;
      case Stage::kComplete:
        if (begin_ == buffer_.size()) return Status::Ok();
        return Damaged(parsed_offset(), "there is something behind the end");
    }
    if (!parsed.ok()) return parsed.status();
    if (!*parsed) return Status::Ok();
  }
}

Result<bool> SnapshotReader::ParseHeader() {
  const std::string_view input = std::string_view(buffer_).substr(begin_);
  if (!kMagic.starts_with(input.substr(0, kMagic.size()))) {
    return Status::InvalidArgument("this is not a snapshot of Quorate: it does not begin with \"" +
                                   std::string(kMagic) + "\"");
  }
  if (input.size() < kPreambleBytes) return false;
  Reader preamble(input.substr(kMagic.size(), kPreambleBytes - kMagic.size()));
  const std::uint32_t version = preamble.Get32();
  const std::uint32_t length = preamble.Get32();
  if (length < kPreambleBytes + 4 || length > kHeaderBytesMax) {
    return Damaged(0, "its header cannot be " + std::to_string(length) + " bytes long");
  }
  if (input.size() < length) return false;
  Reader checksum(input.substr(length - 4, 4));
  if (checksum.Get32() != Crc32c(input.substr(0, length - 4))) return Damaged(0, "wrong checksum of the header");
  if (version != kSnapshotFormatVersion) return Newer(version);
  Reader r(input.substr(kPreambleBytes, length - kPreambleBytes - 4));
  SnapshotHeader header;
  header.cluster = r.GetId<ClusterId>();
  header.group = r.GetId<GroupId>();
  header.meta = consensus::GetSnapshotMeta(&r);
  header.revision = static_cast<Revision>(r.GetVarint());
  header.feature_level = r.GetVarint();
  header.state_hash = r.Get64();
  header.created_wall_ns = r.GetSigned();
  if (!r.Done()) return Damaged(0, "the header does not decode");
  if (expected_.cluster && header.cluster != *expected_.cluster) {
    return Status::FailedPrecondition("the snapshot is of the cluster " + HexText(header.cluster.value) + ", not of " +
                                      HexText(expected_.cluster->value));
  }
  if (expected_.group && header.group != *expected_.group) {
    return Status::FailedPrecondition("the snapshot is of the group " + std::to_string(header.group.value) +
                                      ", not of " + std::to_string(expected_.group->value));
  }
  header_ = std::move(header);
  Consume(length);
  stage_ = Stage::kChunks;
  return true;
}

Result<bool> SnapshotReader::ParseChunk() {
  const std::string_view input = std::string_view(buffer_).substr(begin_);
  const std::uint64_t at = parsed_offset();
  if (input.size() < kChunkHeaderBytes) return false;
  if (!input.starts_with(kChunkMagic)) return Damaged(at, "a chunk should begin there");
  Reader r(input.substr(kChunkMagic.size(), kChunkHeaderBytes - kChunkMagic.size()));
  const std::uint8_t version = r.Get8();
  const std::uint8_t type = r.Get8();
  const std::uint32_t length = r.Get32();
  const std::uint32_t checksum = r.Get32();
  if (length > kChunkBodyBytesMax) return Damaged(at, "a chunk cannot be " + std::to_string(length) + " bytes long");
  if (input.size() < kChunkHeaderBytes + length) return false;
  const std::string_view body = input.substr(kChunkHeaderBytes, length);
  if (ExtendCrc32c(Crc32c(input.substr(0, kChunkHeaderBytes - 4)), body) != checksum) {
    return Damaged(at, "wrong checksum of the chunk that begins there");
  }
  if (version != kChunkVersion) return Newer(version);
  if (type == kRows) {
    RETURN_IF_ERROR(ParseRows(body, at));
  } else if (type == kEnd) {
    RETURN_IF_ERROR(ParseEnd(body, at));
    stage_ = Stage::kDigest;
  } else {
    return Damaged(at, "no chunk of kind " + std::to_string(type) + " exists");
  }
  Consume(kChunkHeaderBytes + length);
  return true;
}

Status SnapshotReader::ParseRows(std::string_view body, std::uint64_t at) {
  Reader r(body);
  while (r.ok() && !r.AtEnd()) {
    const std::uint8_t table = r.Get8();
    const std::string_view key = r.GetBytes();
    const std::string_view value = r.GetBytes();
    if (!r.ok()) break;
    if (row_count_ > 0 && (last_.table > table || (last_.table == table && last_.key >= key))) {
      return Damaged(at, "its rows are not in order");
    }
    last_.table = table;
    last_.key = key;
    ++row_count_;
    if (keep_rows_) rows_.push_back({table, std::string(key), Bytes::Copy(value)});
  }
  return r.ok() ? Status::Ok() : Damaged(at, "its rows do not decode");
}

Status SnapshotReader::ParseEnd(std::string_view body, std::uint64_t at) {
  Reader r(body);
  const std::uint64_t rows = r.Get64();
  const std::uint64_t size = r.Get64();
  if (!r.ok()) return Damaged(at, "its end does not decode");
  if (r.rest().find_first_not_of('\0') != std::string_view::npos)
    return Damaged(at, "its end is not filled with zeros");
  if (rows != row_count_) {
    return Damaged(at, "it has " + std::to_string(row_count_) + " rows and should have " + std::to_string(rows));
  }
  const std::uint64_t here = at + kChunkHeaderBytes + body.size() + kSnapshotDigestBytes;
  if (size != here) {
    return Damaged(at, "it is " + std::to_string(here) + " bytes long and should be " + std::to_string(size));
  }
  return Status::Ok();
}

Result<bool> SnapshotReader::ParseDigest() {
  const std::string_view input = std::string_view(buffer_).substr(begin_);
  if (input.size() < kSnapshotDigestBytes) return false;
  digest_ = input.substr(0, kSnapshotDigestBytes);
  if (digest_ != sha_.Digest())
    return Damaged(parsed_offset(), "the SHA-256 there is not that of what stands before it");
  begin_ += kSnapshotDigestBytes;
  stage_ = Stage::kComplete;
  return true;
}

std::string SnapshotDigestText(std::string_view digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : digest) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

}  // namespace quorate::replica
