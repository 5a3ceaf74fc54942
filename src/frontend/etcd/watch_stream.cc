#include "frontend/etcd/watch_stream.h"

#include <algorithm>
#include <utility>

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"
#include "frontend/etcd/wire_encoder.h"

namespace quorate::frontend::etcd {
namespace {

constexpr std::int64_t kNoWatchId = -1;  // of a refused watch, and of a reply that speaks for all watches
constexpr std::uint64_t kProgressIntervalMinNs = 100'000'000;
constexpr std::size_t kFragmentOverhead = 512 << 10;  // etcd fragments at its request limit plus this

coord::WatchRequest RequestFromWire(etcdserverpb::WatchCreateRequest* wire) {
  coord::WatchRequest request;
  request.key = std::move(*wire->mutable_key());
  if (request.key.empty()) request.key = std::string(1, '\0');
  request.end = std::move(*wire->mutable_range_end());
  request.start_revision = wire->start_revision();
  request.prev_kv = wire->prev_kv();
  for (const int filter : wire->filters()) {
    if (filter == etcdserverpb::WatchCreateRequest::NOPUT) request.no_put = true;
    if (filter == etcdserverpb::WatchCreateRequest::NODELETE) request.no_delete = true;
  }
  return request;
}

bool IsEmptyRange(const coord::WatchRequest& request) {
  const bool from_key = request.end.size() == 1 && request.end[0] == '\0';
  return !request.end.empty() && !from_key && request.key >= request.end;
}

}  // namespace

WatchStream::WatchStream(const Wiring& wiring, LeaderMonitor& leader_monitor, WatchPump& pump, net::ServerCall& call)
    : wiring_(wiring), leader_monitor_(leader_monitor), pump_(pump), call_(&call) {
  if (LeaderMonitor::Requires(call)) leader_monitor_.Add(this);
}

void WatchStream::OnMessage(std::string_view message) {
  if (call_ == nullptr) return;
  etcdserverpb::WatchRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return End(MalformedRequest(request.GetTypeName()));
  }
  switch (request.request_union_case()) {
    case etcdserverpb::WatchRequest::kCreateRequest:
      return Create(request.mutable_create_request());
    case etcdserverpb::WatchRequest::kCancelRequest:
      return Cancel(request.cancel_request().watch_id());
    case etcdserverpb::WatchRequest::kProgressRequest:
      return ReportProgress();
    case etcdserverpb::WatchRequest::REQUEST_UNION_NOT_SET:
      return;  // a request of a newer API; etcd passes over it too
  }
}

void WatchStream::Create(etcdserverpb::WatchCreateRequest* request) {
  const std::int64_t wanted_id = request->watch_id();
  Watch watch;
  watch.progress_notify = request->progress_notify();
  watch.fragment = request->fragment();
  coord::WatchRequest coord_request = RequestFromWire(request);
  if (coord_request.start_revision < 0) return RefuseCreate(Compacted().message());
  if (IsEmptyRange(coord_request)) return RefuseCreate("mvcc: watcher range is empty");
  if (wanted_id != 0 && watches_.contains(wanted_id)) {
    return RefuseCreate("mvcc: duplicate watch ID provided on the WatchStream");
  }
  if (watches_.size() >= wiring_.options.watches_per_stream) return RefuseCreate(TooManyRequests().message());
  std::int64_t id = wanted_id;
  if (id == 0) {
    while (watches_.contains(next_id_)) ++next_id_;
    id = next_id_++;
  }
  watch.start_revision = coord_request.start_revision;
  const bool history = coord_request.start_revision > 0 && coord_request.start_revision <= revision();
  watch.handle = hub().Add(std::move(coord_request), this);
  ids_.emplace(watch.handle, id);
  watches_.emplace(id, watch);
  etcdserverpb::WatchResponse response;
  FillResponse(id, revision(), &response);
  response.set_created(true);
  Send(response);
  if (history) pump_.Schedule();
  if (watch.progress_notify && progress_timer_ == 0) ArmProgressTimer();
}

void WatchStream::RefuseCreate(const std::string& reason) {
  etcdserverpb::WatchResponse response;
  FillResponse(kNoWatchId, revision(), &response);
  response.set_created(true);
  response.set_canceled(true);
  response.set_cancel_reason(reason);
  Send(response);
}

void WatchStream::Cancel(std::int64_t id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  hub().Cancel(found->second.handle);
  ids_.erase(found->second.handle);
  watches_.erase(found);
  etcdserverpb::WatchResponse response;
  FillResponse(id, revision(), &response);
  response.set_canceled(true);
  Send(response);
}

bool WatchStream::Synced(const Watch& watch) const {
  return watch.start_revision <= revision() && hub().Synced(watch.handle);
}

void WatchStream::ReportProgress() {
  if (watches_.empty()) return;
  const bool all_synced =
      std::all_of(watches_.begin(), watches_.end(), [this](const auto& entry) { return Synced(entry.second); });
  if (!all_synced) return;
  etcdserverpb::WatchResponse response;
  FillResponse(kNoWatchId, revision(), &response);
  Send(response);
}

void WatchStream::ReportIdleWatches() {
  bool wanted = false;
  for (auto& [id, watch] : watches_) {
    if (!watch.progress_notify) continue;
    wanted = true;
    if (std::exchange(watch.idle, true) && Synced(watch)) {
      etcdserverpb::WatchResponse response;
      FillResponse(id, revision(), &response);
      Send(response);
    }
  }
  if (wanted) ArmProgressTimer();
}

void WatchStream::ArmProgressTimer() {
  const std::uint64_t interval = std::max(wiring_.options.progress_interval_ns, kProgressIntervalMinNs);
  // The jitter keeps streams that were opened together, as after a restart, from all reporting at once.
  const std::uint64_t delay = interval + wiring_.random.Below(interval / 10);
  progress_timer_ = wiring_.executor.After(delay, [this] {
    progress_timer_ = 0;
    ReportIdleWatches();
  });
}

void WatchStream::OnEvents(coord::WatchHandle handle, Revision revision, std::vector<coord::WatchEvent> events) {
  const auto found = ids_.find(handle);
  if (call_ == nullptr || found == ids_.end()) return;
  Watch& watch = watches_.at(found->second);
  watch.idle = false;
  etcdserverpb::WatchResponse frame;  // what every fragment has before its events
  FillResponse(found->second, revision, &frame);
  etcdserverpb::WatchResponse more;
  more.set_fragment(true);
  std::string encoded = frame.SerializeAsString();
  int held = 0;
  for (const coord::WatchEvent& event : events) {
    const std::size_t before = encoded.size();
    AppendWatchEvent(event, &encoded);
    ++held;
    if (!watch.fragment || held < 2 || encoded.size() < wiring_.options.max_request_bytes + kFragmentOverhead) continue;
    // This event opens the next fragment. A field may come anywhere in a message: the mark goes to the end.
    std::string next = frame.SerializeAsString().append(encoded, before);
    encoded.resize(before);
    more.AppendToString(&encoded);
    call_->Send(std::exchange(encoded, std::move(next)));
    held = 1;
  }
  call_->Send(std::move(encoded));
}

void WatchStream::OnCompacted(coord::WatchHandle handle, Revision compact_revision) {
  const auto found = ids_.find(handle);
  if (call_ == nullptr || found == ids_.end()) return;
  etcdserverpb::WatchResponse response;
  FillResponse(found->second, 0, &response);  // as etcd: this reply speaks of no revision of the store
  response.set_canceled(true);
  response.set_compact_revision(compact_revision);
  watches_.erase(found->second);
  ids_.erase(found);
  Send(response);
}

bool WatchStream::CanTake() const {
  return call_ != nullptr && call_->queued_bytes() <= net::kCallQueueCapBytes &&
         call_->HasRoom(net::AnswerSize::kSmall);
}

void WatchStream::OnNoLeader() {
  End(NoLeader());
}

void WatchStream::Send(const etcdserverpb::WatchResponse& response) {
  call_->Send(response.SerializeAsString());
}

void WatchStream::FillResponse(std::int64_t id, Revision revision, etcdserverpb::WatchResponse* response) const {
  FillHeader(wiring_.backend, revision, response->mutable_header());
  response->set_watch_id(id);
}

void WatchStream::End(const Status& status) {
  net::ServerCall* call = call_;
  Close();
  if (call != nullptr) call->Finish(status);
}

void WatchStream::Close() {
  call_ = nullptr;
  leader_monitor_.Remove(this);
  if (progress_timer_ != 0) wiring_.executor.Cancel(std::exchange(progress_timer_, 0));
  for (const auto& [id, watch] : watches_) hub().Cancel(watch.handle);
  watches_.clear();
  ids_.clear();
}

}  // namespace quorate::frontend::etcd
