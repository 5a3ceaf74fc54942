#include "grpc_api_client.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdio>

namespace quorate::compat {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::size_t kBytesShown = 40;

std::string ShortBytes(const std::string& bytes) {
  return bytes.size() <= kBytesShown ? bytes : "<" + std::to_string(bytes.size()) + " bytes>";
}

void Simplify(Message* message) {
  const Reflection& reflection = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated()) {
      reflection.SetString(message, field, ShortBytes(reflection.GetString(*message, field)));
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
        Simplify(reflection.MutableRepeatedMessage(message, field, i));
      }
    } else {
      Simplify(reflection.MutableMessage(message, field));
    }
  }
  if (auto* header = google::protobuf::DynamicCastToGenerated<etcdserverpb::ResponseHeader>(message)) {
    const std::int64_t revision = header->revision();
    header->Clear();
    header->set_revision(revision);
  }
}

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
  return context;
}

std::string Quoted(const Message& request) {
  return request.GetDescriptor()->name() + " {" + Short(request) + "}";
}

}  // namespace

std::string Short(const Message& message) {
  const std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  Simplify(copy.get());
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(*copy, &text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

void Print(const std::string& line) {
  std::printf("%s\n", line.c_str());
}

void PrintAnswer(const std::string& what, const grpc::Status& status, const Message& answer) {
  Print(what);
  Print(status.ok() ? "  " + Short(answer)
                    : "  error " + std::to_string(status.error_code()) + " " + status.error_message());
}

Api::Api(const std::vector<std::string>& endpoints) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  for (const std::string& endpoint : endpoints) {
    Member member;
    member.channel = grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
    member.kv = etcdserverpb::KV::NewStub(member.channel);
    member.watch = etcdserverpb::Watch::NewStub(member.channel);
    member.lease = etcdserverpb::Lease::NewStub(member.channel);
    member.cluster = etcdserverpb::Cluster::NewStub(member.channel);
    member.maintenance = etcdserverpb::Maintenance::NewStub(member.channel);
    member.generic = std::make_unique<grpc::GenericStub>(member.channel);
    members_.push_back(std::move(member));
  }
}

etcdserverpb::RangeResponse Api::Range(const etcdserverpb::RangeRequest& request) {
  etcdserverpb::RangeResponse answer;
  PrintAnswer(Quoted(request), Next().kv->Range(Context().get(), request, &answer), answer);
  return answer;
}

etcdserverpb::PutResponse Api::Put(const etcdserverpb::PutRequest& request) {
  etcdserverpb::PutResponse answer;
  PrintAnswer(Quoted(request), Next().kv->Put(Context().get(), request, &answer), answer);
  return answer;
}

etcdserverpb::DeleteRangeResponse Api::Delete(const etcdserverpb::DeleteRangeRequest& request) {
  etcdserverpb::DeleteRangeResponse answer;
  PrintAnswer(Quoted(request), Next().kv->DeleteRange(Context().get(), request, &answer), answer);
  return answer;
}

etcdserverpb::TxnResponse Api::Txn(const etcdserverpb::TxnRequest& request) {
  etcdserverpb::TxnResponse answer;
  PrintAnswer(Quoted(request), Next().kv->Txn(Context().get(), request, &answer), answer);
  return answer;
}

void Api::Compact(std::int64_t revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  etcdserverpb::CompactionResponse answer;
  PrintAnswer(Quoted(request), Next().kv->Compact(Context().get(), request, &answer), answer);
}

void Api::Grant(std::int64_t id, std::int64_t ttl) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl);
  etcdserverpb::LeaseGrantResponse answer;
  PrintAnswer(Quoted(request), Next().lease->LeaseGrant(Context().get(), request, &answer), answer);
}

void Api::Revoke(std::int64_t id) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  etcdserverpb::LeaseRevokeResponse answer;
  PrintAnswer(Quoted(request), Next().lease->LeaseRevoke(Context().get(), request, &answer), answer);
}

void Api::TimeToLive(std::int64_t id, bool keys) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  etcdserverpb::LeaseTimeToLiveResponse answer;
  const grpc::Status status = Next().lease->LeaseTimeToLive(Context().get(), request, &answer);
  std::sort(answer.mutable_keys()->begin(), answer.mutable_keys()->end());  // etcd's order is that of a hash map
  if (answer.ttl() > 0) answer.set_ttl(1);                                  // seconds pass
  PrintAnswer(Quoted(request), status, answer);
}

std::int64_t Api::PutQuietly(const std::string& key, const std::string& value, std::int64_t lease) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  request.set_lease(lease);
  etcdserverpb::PutResponse answer;
  const grpc::Status status = Next().kv->Put(Context().get(), request, &answer);
  if (!status.ok()) Print("put of " + key + " failed: " + status.error_message());
  return answer.header().revision();
}

std::int64_t Api::Revision() {
  etcdserverpb::RangeRequest request;
  request.set_key("absent");
  etcdserverpb::RangeResponse answer;
  const grpc::Status status = Next().kv->Range(Context().get(), request, &answer);
  if (!status.ok()) Print("range failed: " + status.error_message());
  return answer.header().revision();
}

Member& Api::NextUpToDate() {
  Revision();
  return members_[turn_ % members_.size()];
}

WatchSession::WatchSession(Member& member, bool has_leader) {
  context_.set_deadline(std::chrono::system_clock::now() + kPatience);
  if (has_leader) context_.AddMetadata("hasleader", "true");
  stream_ = member.watch->Watch(&context_);
}

WatchSession::~WatchSession() {
  context_.TryCancel();
  stream_->Finish();
}

void WatchSession::Create(const etcdserverpb::WatchCreateRequest& request) {
  Print("create {" + Short(request) + "}");
  etcdserverpb::WatchRequest wire;
  *wire.mutable_create_request() = request;
  stream_->Write(wire);
}

void WatchSession::Cancel(std::int64_t id) {
  Print("cancel " + std::to_string(id));
  etcdserverpb::WatchRequest wire;
  wire.mutable_cancel_request()->set_watch_id(id);
  stream_->Write(wire);
}

void WatchSession::Progress() {
  Print("progress");
  etcdserverpb::WatchRequest wire;
  wire.mutable_progress_request();
  stream_->Write(wire);
}

void WatchSession::Show(int count) {
  for (int i = 0; i < count; ++i) {
    etcdserverpb::WatchResponse response;
    if (!Read(&response)) return Print("  the stream ended");
    Print("  " + Short(response));
  }
}

void WatchSession::ShowEvents(int count) {
  while (count > 0) {
    etcdserverpb::WatchResponse response;
    if (!Read(&response)) return Print("  the stream ended");
    if (response.events().empty()) Print("  " + Short(response));
    for (const mvccpb::Event& event : response.events()) {
      Print("  watch " + std::to_string(response.watch_id()) + ": " + Short(event));
      --count;
    }
  }
}

}  // namespace quorate::compat
