#include "replica/snapshot_message.h"

#include <utility>

#include "base/codec.h"
#include "consensus/meta_codec.h"

namespace quorate::replica {
namespace {

enum Kind : std::uint8_t {
  kWanted = 1,
  kOffer = 2,
  kAccept = 3,
  kRefused = 4,
  kData = 5,
  kProgress = 6,
  kStopped = 7,
};

struct Encoder {
  Writer& w;
  void operator()(const SnapshotWanted&) const { w.Put8(kWanted); }
  void operator()(const SnapshotOffer& m) const {
    w.Put8(kOffer);
    consensus::PutSnapshotMeta(m.meta, &w);
    w.PutVarint(m.ballot);
    w.PutVarint(m.size_bytes);
    w.PutBool(m.wanted);
  }
  void operator()(const SnapshotAccept& m) const {
    w.Put8(kAccept);
    w.PutVarint(m.id);
    w.PutVarint(m.offset);
  }
  void operator()(const SnapshotRefused& m) const {
    w.Put8(kRefused);
    w.PutVarint(m.id);
    w.PutBytes(m.why);
  }
  void operator()(const SnapshotData& m) const {
    w.Put8(kData);
    w.PutVarint(m.id);
    w.PutVarint(m.offset);
    w.PutBool(m.last);
    w.PutRaw(m.bytes.view());
  }
  void operator()(const SnapshotProgress& m) const {
    w.Put8(kProgress);
    w.PutVarint(m.id);
    w.PutVarint(m.offset);
    w.PutBool(m.done);
  }
  void operator()(const SnapshotStopped& m) const {
    w.Put8(kStopped);
    w.PutVarint(m.id);
    w.PutBytes(m.why);
  }
};

SnapshotOffer DecodeOffer(Reader* r) {
  SnapshotOffer m;
  m.meta = consensus::GetSnapshotMeta(r);
  m.ballot = r->GetVarint();
  m.size_bytes = r->GetVarint();
  m.wanted = r->GetBool();
  return m;
}

}  // namespace

Bytes EncodeSnapshotMessage(const SnapshotMessage& message) {
  const auto* data = std::get_if<SnapshotData>(&message);
  Writer w(64 + (data != nullptr ? data->bytes.size() : 0));
  std::visit(Encoder{w}, message);
  return Bytes(std::move(w).Take());
}

std::optional<SnapshotMessage> DecodeSnapshotMessage(const Bytes& payload) {
  Reader r(payload.view());
  SnapshotMessage message;
  switch (r.Get8()) {
    case kWanted:
      message = SnapshotWanted{};
      break;
    case kOffer:
      message = DecodeOffer(&r);
      break;
    case kAccept: {
      SnapshotAccept m{r.GetVarint(), 0};
      m.offset = r.GetVarint();
      message = m;
      break;
    }
    case kRefused: {
      SnapshotRefused m{r.GetVarint(), {}};
      m.why = r.GetBytes();
      message = std::move(m);
      break;
    }
    case kData: {
      SnapshotData m;
      m.id = r.GetVarint();
      m.offset = r.GetVarint();
      m.last = r.GetBool();
      if (!r.ok()) return std::nullopt;
      m.bytes = payload.SliceOf(r.rest());
      return SnapshotMessage(std::move(m));
    }
    case kProgress: {
      SnapshotProgress m;
      m.id = r.GetVarint();
      m.offset = r.GetVarint();
      m.done = r.GetBool();
      message = m;
      break;
    }
    case kStopped: {
      SnapshotStopped m{r.GetVarint(), {}};
      m.why = r.GetBytes();
      message = std::move(m);
      break;
    }
    default:
      return std::nullopt;
  }
  if (!r.Done()) return std::nullopt;
  return message;
}

}  // namespace quorate::replica
