// Members: what the members published about themselves (name and URLs), in the kMembership table.
//
// Owned by Machine. Thread rule: the owner's thread. Who votes is consensus's business; this is what clients are told.
#pragma once

#include <map>
#include <vector>

#include "base/ids.h"
#include "coord/command.h"
#include "coord/machine.h"
#include "coord/tables.h"

namespace quorate::coord {

class Members {
 public:
  explicit Members(Tables& tables);  // reads kMembership

  void Publish(const PublishMember& member);  // replaces what it had published before
  std::vector<PublishedMember> All() const;   // ascending by id

 private:
  Tables& tables_;
  std::map<ReplicaId, PublishedMember> members_;
};

}  // namespace quorate::coord
