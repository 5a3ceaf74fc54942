#include "coord/members.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::coord {
namespace {

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

std::string Encode(const PublishedMember& member) {
  Writer w;
  w.Put8(1);  // format version
  w.PutBytes(member.name);
  PutStrings(member.peer_urls, &w);
  PutStrings(member.client_urls, &w);
  return std::move(w).Take();
}

}  // namespace

Members::Members(Tables& tables) : tables_(tables) {
  tables_.engine().Scan(store::Table::kMembership, {}, {}, [this](std::string_view key, const Bytes& value) {
    Reader k(key);
    PublishedMember member;
    member.id = ReplicaId(k.GetOrdered64());
    Reader r(value.view());
    CHECK(r.Get8() == 1) << "the record of member " << member.id.value << " is of a newer format";
    member.name = r.GetBytes();
    member.peer_urls = GetStrings(&r);
    member.client_urls = GetStrings(&r);
    CHECK(k.Done() && r.Done()) << "the record of member " << member.id.value << " is damaged";
    members_.emplace(member.id, std::move(member));
    return true;
  });
}

void Members::Publish(const PublishMember& member) {
  PublishedMember published{member.id, member.name, member.peer_urls, member.client_urls};
  const auto before = members_.find(member.id);
  if (before == members_.end()) {
    tables_.Insert(store::Table::kMembership, EncodeKey(member.id), Bytes(Encode(published)));
  } else {
    tables_.Replace(store::Table::kMembership, EncodeKey(member.id), Encode(before->second), Bytes(Encode(published)));
  }
  members_.insert_or_assign(member.id, std::move(published));
}

std::vector<PublishedMember> Members::All() const {
  std::vector<PublishedMember> all;
  all.reserve(members_.size());
  for (const auto& [id, member] : members_) all.push_back(member);
  return all;
}

}  // namespace quorate::coord
