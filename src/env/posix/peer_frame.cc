#include "env/posix/peer_frame.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"

namespace quorate::env {
namespace {

constexpr std::uint32_t kMagic = 0x4650'5251;  // "QRPF" in the order of the bytes
constexpr std::size_t kChecked = 12;           // header bytes that the checksum covers
constexpr std::size_t kFirstReserve = 64 << 10;

std::uint32_t Checksum(const PeerFrameHeader& header, std::string_view payload) {
  return ExtendCrc32c(Crc32c(std::string_view(header.data(), kChecked)), payload);
}

}  // namespace

PeerFrameHeader EncodePeerFrameHeader(PeerFrameKind kind, std::uint8_t version, std::string_view payload) {
  CHECK(payload.size() <= UINT32_MAX) << payload.size();
  Writer w(kPeerFrameHeaderBytes);
  w.Put32(kMagic);
  w.Put8(version);
  w.Put8(static_cast<std::uint8_t>(kind));
  w.Put8(0);
  w.Put8(0);
  w.Put32(static_cast<std::uint32_t>(payload.size()));
  PeerFrameHeader header{};
  std::copy(w.str().begin(), w.str().end(), header.begin());
  w.Put32(Checksum(header, payload));
  std::copy(w.str().begin(), w.str().end(), header.begin());
  return header;
}

void PeerFrameParser::Expect(std::uint8_t version, std::size_t payload_max) {
  version_ = version;
  payload_max_ = payload_max;
}

bool PeerFrameParser::ParseHeader() {
  Reader r(std::string_view(header_.data(), header_.size()));
  if (r.Get32() != kMagic) {
    error_ = "not a frame of this protocol";
  } else if (r.Get8() != version_) {
    error_ = "a frame of another format version";
  } else if (const std::uint8_t kind = r.Get8();
             kind < 1 || kind > static_cast<std::uint8_t>(PeerFrameKind::kJoinAnswer)) {
    error_ = "a frame of an unknown kind";
  } else if (r.Get8() != 0 || r.Get8() != 0) {
    error_ = "a frame header with reserved bits set";
  } else if (length_ = r.Get32(); length_ > payload_max_) {
    error_ = "a frame over the size limit";
  }
  return error_ == nullptr;
}

std::optional<PeerFrame> PeerFrameParser::Next(std::string_view* input) {
  if (error_ != nullptr) return std::nullopt;
  if (header_filled_ < header_.size()) {
    const std::size_t take = std::min(header_.size() - header_filled_, input->size());
    std::copy_n(input->data(), take, header_.data() + header_filled_);
    header_filled_ += take;
    input->remove_prefix(take);
    if (header_filled_ < header_.size() || !ParseHeader()) return std::nullopt;
    payload_.reserve(std::min<std::size_t>(length_, kFirstReserve));
  }
  const std::size_t take = std::min(length_ - payload_.size(), input->size());
  payload_.append(input->data(), take);
  input->remove_prefix(take);
  if (payload_.size() < length_) return std::nullopt;
  const std::uint32_t stated = Reader(std::string_view(header_.data() + kChecked, 4)).Get32();
  if (stated != Checksum(header_, payload_)) {
    error_ = "a frame with a wrong checksum";
    return std::nullopt;
  }
  header_filled_ = 0;
  PeerFrame frame{static_cast<PeerFrameKind>(header_[5]), Bytes(std::move(payload_))};
  payload_ = {};
  return frame;
}

}  // namespace quorate::env
