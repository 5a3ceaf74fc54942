#include "coord/cluster/members.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "coord/errors.h"

namespace quorate::coord {
namespace {

constexpr std::uint8_t kPublishedFormat = 1;   // name, peer URLs, client URLs
constexpr std::uint8_t kConfiguredFormat = 2;  // flags before them
constexpr std::uint8_t kFlagLearner = 1;
constexpr std::uint8_t kFlagRemoved = 2;
constexpr std::size_t kLearnersMax = 1;  // etcd's default

std::string EncodeKey(ReplicaId id) {
  Writer w;
  w.PutOrdered64(id.value);
  return std::move(w).Take();
}

void PutStrings(const std::vector<std::string>& strings, Writer* w) {
  w->PutVarint(strings.size());
  for (const std::string& text : strings) w->PutBytes(text);
}

std::vector<std::string> GetStrings(Reader* r) {
  std::vector<std::string> strings(r->GetCount());
  for (std::string& text : strings) text = r->GetBytes();
  return strings;
}

}  // namespace

bool EnoughStarted(const std::vector<MemberInfo>& members, std::size_t entering, std::size_t entering_started,
                   ReplicaId leaving) {
  std::size_t voters = entering;
  std::size_t started = entering_started;
  for (const MemberInfo& member : members) {
    if (member.learner || member.id == leaving) continue;
    ++voters;
    if (!member.name.empty()) ++started;
  }
  if (voters == 0) return false;                                 // nobody would be left
  if (entering > 0 && started == 1 && voters == 2) return true;  // a lone member takes in its second
  return started >= voters / 2 + 1;
}

Members::Members(Tables& tables) : tables_(tables) {
  std::uint32_t content = Crc32c({});
  tables_.Scan(store::Table::kMembership, [this, &content](std::string_view key, std::string_view value) {
    Reader k(key);
    Row row;
    row.info.id = ReplicaId(k.GetOrdered64());
    Reader r(value);
    row.format = r.Get8();
    CHECK(row.format == kPublishedFormat || row.format == kConfiguredFormat)
        << "the record of member " << row.info.id.value << " is of a newer format";
    if (row.format == kConfiguredFormat) {
      const std::uint8_t flags = r.Get8();
      row.info.learner = (flags & kFlagLearner) != 0;
      row.removed = (flags & kFlagRemoved) != 0;
    }
    row.info.name = r.GetBytes();
    row.info.peer_urls = GetStrings(&r);
    row.info.client_urls = GetStrings(&r);
    CHECK(k.Done() && r.Done()) << "the record of member " << row.info.id.value << " is damaged";
    if (!row.removed) ++live_;
    content = ExtendCrc32c(content, value);
    rows_.emplace(row.info.id, std::move(row));
  });
  changes_ = std::uint64_t{content} << 32;  // so that a table loaded anew differs from what was followed before
}

std::string Members::Encode(const Row& row) {
  Writer w;
  w.Put8(row.format);
  if (row.format == kConfiguredFormat) {
    w.Put8(static_cast<std::uint8_t>((row.info.learner ? kFlagLearner : 0) | (row.removed ? kFlagRemoved : 0)));
  }
  w.PutBytes(row.info.name);
  PutStrings(row.info.peer_urls, &w);
  PutStrings(row.info.client_urls, &w);
  return std::move(w).Take();
}

const Members::Row* Members::Find(ReplicaId id) const {
  const auto found = rows_.find(id);
  return found == rows_.end() || found->second.removed ? nullptr : &found->second;
}

void Members::Store(ReplicaId id, Row row) {
  const auto before = rows_.find(id);
  if (before == rows_.end()) {
    tables_.Insert(store::Table::kMembership, EncodeKey(id), Bytes(Encode(row)));
    ++live_;
  } else {
    tables_.Replace(store::Table::kMembership, EncodeKey(id), Encode(before->second), Bytes(Encode(row)));
    if (row.removed && !before->second.removed) --live_;
  }
  rows_.insert_or_assign(id, std::move(row));
  ++changes_;
}

void Members::Remove(ReplicaId id) {
  Row tombstone;
  tombstone.format = kConfiguredFormat;
  tombstone.removed = true;
  tombstone.info.id = id;
  Store(id, std::move(tombstone));
}

Result<PublishMemberResponse> Members::Publish(const PublishMember& member, std::uint32_t level) {
  Row row;
  row.format = kPublishedFormat;
  row.info = {member.id, member.name, member.peer_urls, member.client_urls, false};
  if (level >= 2) {
    const Row* known = Find(member.id);
    if (known == nullptr) return errors::MemberNotFound();
    row.format = kConfiguredFormat;
    row.info.peer_urls = known->info.peer_urls;
    row.info.learner = known->info.learner;
  }
  Store(member.id, std::move(row));
  return PublishMemberResponse{};
}

void Members::Enter(const std::vector<InitialMember>& members) {
  for (const InitialMember& member : members) {
    if (rows_.contains(member.id)) continue;
    Row row;
    row.format = kConfiguredFormat;
    row.info = {member.id, member.name, member.peer_urls, {}, false};
    Store(member.id, std::move(row));
  }
}

Status Members::CheckUrls(const std::vector<std::string>& peer_urls, ReplicaId but) const {
  if (peer_urls.empty()) return errors::BadMemberUrls();
  for (const auto& [id, row] : rows_) {
    if (row.removed || id == but) continue;
    for (const std::string& url : peer_urls) {
      const auto& taken = row.info.peer_urls;
      if (std::find(taken.begin(), taken.end(), url) != taken.end()) return errors::PeerUrlExists();
    }
  }
  return {};
}

Status Members::CheckNew(ReplicaId id, const std::vector<std::string>& peer_urls, ReplicaId leaving) const {
  const auto found = rows_.find(id);
  if (!id || (found != rows_.end() && found->second.removed)) return errors::MemberNotFound();  // as etcd says it
  if (found != rows_.end()) return errors::MemberExists();
  return CheckUrls(peer_urls, leaving);
}

Result<MembersResponse> Members::Execute(const AddMember& add) {
  if (!add.learner && !EnoughStarted(All(), 1, 0, ReplicaId())) return errors::NotEnoughStarted();
  RETURN_IF_ERROR(CheckNew(add.id, add.peer_urls, ReplicaId()));
  if (add.learner) {
    const auto learners =
        std::count_if(rows_.begin(), rows_.end(), [](const auto& r) { return r.second.info.learner; });
    if (static_cast<std::size_t>(learners) >= kLearnersMax) return errors::TooManyLearners();
  }
  Row row;
  row.format = kConfiguredFormat;
  row.info = {add.id, {}, add.peer_urls, {}, add.learner};
  Store(add.id, std::move(row));
  return Response();
}

Result<MembersResponse> Members::Execute(const RemoveMember& remove) {
  const Row* member = Find(remove.id);
  if (member == nullptr) return errors::MemberNotFound();
  if (!member->info.learner && !EnoughStarted(All(), 0, 0, remove.id)) return errors::NotEnoughStarted();
  Remove(remove.id);
  return Response();
}

Result<MembersResponse> Members::Execute(const UpdateMember& update) {
  const Row* member = Find(update.id);
  if (member == nullptr) return errors::MemberNotFound();
  RETURN_IF_ERROR(CheckUrls(update.peer_urls, update.id));
  Row row = *member;
  row.format = kConfiguredFormat;
  row.info.peer_urls = update.peer_urls;
  Store(update.id, std::move(row));
  return Response();
}

Result<MembersResponse> Members::Execute(const PromoteMember& promote) {
  const Row* member = Find(promote.id);
  if (member == nullptr) return errors::MemberNotFound();
  if (!member->info.learner) return errors::NotALearner();
  // It publishes itself once it has been taught that it is a member; before that it knows nothing at all.
  if (member->info.name.empty()) return errors::LearnerNotReady();
  if (!EnoughStarted(All(), 1, 1, ReplicaId())) return errors::NotEnoughStarted();
  Row row = *member;
  row.format = kConfiguredFormat;
  row.info.learner = false;
  Store(promote.id, std::move(row));
  return Response();
}

Result<MembersResponse> Members::Execute(const ReplaceMember& replace) {
  const Row* old = Find(replace.old_id);
  if (old == nullptr) return errors::MemberNotFound();
  if (!old->info.learner && !EnoughStarted(All(), 1, 0, replace.old_id)) return errors::NotEnoughStarted();
  RETURN_IF_ERROR(CheckNew(replace.id, replace.peer_urls, replace.old_id));
  Row row;
  row.format = kConfiguredFormat;
  row.info = {replace.id, {}, replace.peer_urls, {}, old->info.learner};
  Remove(replace.old_id);
  Store(replace.id, std::move(row));
  return Response();
}

std::vector<MemberInfo> Members::All() const {
  std::vector<MemberInfo> all;
  all.reserve(live_);
  for (const auto& [id, row] : rows_) {
    if (!row.removed) all.push_back(row.info);
  }
  return all;
}

std::vector<ReplicaId> Members::Removed() const {
  std::vector<ReplicaId> removed;
  for (const auto& [id, row] : rows_) {
    if (row.removed) removed.push_back(id);
  }
  return removed;
}

}  // namespace quorate::coord
