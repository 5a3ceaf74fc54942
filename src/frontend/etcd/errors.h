// The errors that the etcd frontend itself gives. Clients match on the text, so each is etcd's to the letter; those
// without an etcd equal say what is missing. Everything else comes from coord/ and the backend with etcd's text
// already. Thread rule: plain functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace quorate::frontend::etcd {

Status RequestTooLarge();
Status TooManyRequests();
Status NoLeader();
Status NotSupportedForLearner();
Status AuthenticationNotEnabled();
Status Compacted();
Status BadMemberUrls();

// What grpc-go answers when a message is not what the method takes.
Status MalformedRequest(std::string_view type_name);
Status MissingRequest();
// A method or a part of one that this server does not have (yet): `what` is a sentence for the person at etcdctl.
Status NotAvailable(std::string_view what);

}  // namespace quorate::frontend::etcd
