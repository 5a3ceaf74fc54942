#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {

Status RequestTooLarge() {
  return Status::InvalidArgument("etcdserver: request is too large");
}

Status TooManyRequests() {
  return Status::ResourceExhausted("etcdserver: too many requests");
}

Status NoLeader() {
  return Status::Unavailable("etcdserver: no leader");
}

Status NotSupportedForLearner() {
  return Status::FailedPrecondition("etcdserver: rpc not supported for learner");
}

Status AuthenticationNotEnabled() {
  return Status::FailedPrecondition("etcdserver: authentication is not enabled");
}

Status Compacted() {
  return Status::OutOfRange("etcdserver: mvcc: required revision has been compacted");
}

Status BadMemberUrls() {
  return Status::InvalidArgument("etcdserver: given member URLs are invalid");
}

Status MalformedRequest(std::string_view type_name) {
  return Status::Internal("grpc: error unmarshalling request: not a valid " + std::string(type_name));
}

Status MissingRequest() {
  return Status::Internal("grpc: error unmarshalling request: the call ended without a message");
}

Status NotAvailable(std::string_view what) {
  return {StatusCode::kUnimplemented, "quorate: " + std::string(what)};
}

}  // namespace quorate::frontend::etcd
