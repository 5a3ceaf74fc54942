// Strong identifiers: a tag makes two kinds of number that must not be swapped two types.
//
// Used by every folder. Plain values, no thread rule. A naked integer in a signature is a review finding: the classic
// consensus bug is a term where an index was meant.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace quorate {

template <class Tag>
struct Id {
  std::uint64_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(std::uint64_t v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
  constexpr Id Next() const { return Id(value + 1); }
  constexpr Id Prev() const { return Id(value - 1); }
  constexpr explicit operator bool() const { return value != 0; }
};

using ClusterId = Id<struct ClusterTag>;        // derived from initial cluster and token; in every peer handshake
using ReplicaId = Id<struct ReplicaTag>;        // one member of the cluster, never reused; 0 = nobody
using GroupId = Id<struct GroupTag>;            // one consensus group (a space has one), never reused
using Incarnation = Id<struct IncarnationTag>;  // rises by one at every start of a node; 0 = unknown
using LogIndex = Id<struct LogIndexTag>;        // position in a group's decided sequence, from 1, without gaps
using LinkId = Id<struct LinkTag>;              // one connection between two nodes; a reconnect gets a new one
using PersistSeq = Id<struct PersistTag>;       // number of a WriteBatch within one life of a core; 0 = no batch
using ProposalId = Id<struct ProposalTag>;      // unique within (replica, incarnation)
using ReadId = Id<struct ReadTag>;              // unique within (replica, incarnation); never reused
using Ticks = Id<struct TicksTag>;              // a count of core ticks (env decides how long one is)
using SessionId = Id<struct SessionTag>;        // replicated session: etcd lease, ZooKeeper or Consul session

// A position in the user-visible history of a group: etcd's revision, ZooKeeper's zxid, Consul's index. An empty store
// is at 1. Signed because etcd's wire type is.
using Revision = std::int64_t;

}  // namespace quorate

template <class Tag>
struct std::hash<quorate::Id<Tag>> {
  std::size_t operator()(quorate::Id<Tag> id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
