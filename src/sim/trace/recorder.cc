#include "sim/trace/recorder.h"

#include <algorithm>
#include <sstream>

#include "sim/describe.h"
#include "sim/trace/page.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kNotYet = UINT64_MAX;

std::uint8_t Small(ReplicaId id) {
  return static_cast<std::uint8_t>(std::min<std::uint64_t>(id.value, 255));
}

// JSON that may stand inside a <script> element: no "</" and no "<!--".
void AppendQuoted(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (byte < ' ' || byte >= 0x7f || c == '<') {
      out->append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendNumber(std::uint64_t number, std::string* out) {
  out->append(std::to_string(number)).push_back(',');
}

// Microseconds; -1: never.
void AppendTime(std::uint64_t ns, std::string* out) {
  if (ns == kNotYet) {
    out->append("-1,");
  } else {
    AppendNumber(ns / 1000, out);
  }
}

void CloseList(std::string* out) {
  if (out->back() == ',') out->pop_back();
  out->append("]");
}

}  // namespace

Recorder::Text Recorder::Intern(std::string_view text) {
  const auto [found, is_new] = number_of_.try_emplace(std::string(text), static_cast<Text>(texts_.size()));
  if (is_new) texts_.emplace_back(text);
  return found->second;
}

void Recorder::Note(std::uint64_t now, ReplicaId member, std::string_view kind, std::string_view detail,
                    std::uint64_t until) {
  marks_.push_back({now, std::max(now, until), Small(member), Intern(kind), Intern(detail)});
}

std::uint64_t Recorder::OnSent(std::uint64_t now, ReplicaId from, ReplicaId to, const Bytes& frame) {
  const Described described = DescribeFrame(protocol_, frame);
  sent_.push_back({now, kNotYet, Small(from), Small(to), Intern(described.kind), Intern(described.label),
                   Intern(described.detail)});
  return sent_.size();
}

void Recorder::OnArrived(std::uint64_t now, std::uint64_t frame) {
  if (frame == 0) return;
  Sent& sent = sent_[frame - 1];
  sent.arrived_ns = std::min(sent.arrived_ns, now);  // of two copies, the first
}

void Recorder::OnLink(std::uint64_t now, ReplicaId at, ReplicaId peer, bool up) {
  std::string detail = up ? "connected to member " : "lost the link to member ";
  detail += std::to_string(peer.value);
  Note(now, at, "link", detail);
}

void Recorder::OnCut(std::uint64_t now, ReplicaId from, ReplicaId to, bool cut) {
  const std::pair<ReplicaId, ReplicaId> direction{from, to};
  const auto open = open_cuts_.find(direction);
  if (!cut) {
    if (open != open_cuts_.end()) marks_[open->second].until_ns = now;
    open_cuts_.erase(direction);
    return;
  }
  if (open != open_cuts_.end()) return;
  open_cuts_[direction] = marks_.size();
  std::string detail = std::to_string(from.value);
  detail.append(" to ").append(std::to_string(to.value));
  Note(now, from, "cut", detail, kNotYet);
}

void Recorder::OnStarted(std::uint64_t now, ReplicaId member, Incarnation incarnation) {
  std::string detail = "incarnation ";
  detail += std::to_string(incarnation.value);
  Note(now, member, "started", detail);
}

void Recorder::OnEnded(std::uint64_t now, ReplicaId member, std::string_view how) {
  last_held_.erase(member);
  Note(now, member, "crashed", how);
}

void Recorder::OnPaused(std::uint64_t now, ReplicaId member, std::uint64_t until) {
  Note(now, member, "paused", "the process stands still", until);
}

void Recorder::OnLeadership(std::uint64_t now, ReplicaId member, const consensus::Leadership& leadership) {
  const auto [last, is_new] = last_held_.try_emplace(member, leadership);
  if (!is_new && last->second == leadership) return;
  last->second = leadership;
  held_.push_back({now, Small(member), leadership});
}

void Recorder::OnExecuted(std::uint64_t now, ReplicaId member, const consensus::Entry& entry) {
  Note(now, member, "executed", DescribeEntry(entry));
}

void Recorder::OnSnapshotLoaded(std::uint64_t now, ReplicaId member, LogIndex last) {
  std::string detail = "up to entry ";
  detail += std::to_string(last.value);
  Note(now, member, "snapshot", detail);
}

void Recorder::OnFault(std::uint64_t now, std::string_view kind) {
  Note(now, ReplicaId(), "fault", kind);
}

void Recorder::OnViolation(std::uint64_t now, const Violation& violation) {
  Note(now, ReplicaId(), "violation", violation.checker + ": " + violation.message);
}

// ---- The page's data: lists of numbers, for a run has a hundred thousand messages

std::string Recorder::Data(const std::string& title, std::uint64_t now) const {
  std::string out = "{\"title\":";
  AppendQuoted(title, &out);
  out.append(",\"protocol\":");
  AppendQuoted(ProtocolName(protocol_), &out);
  out.append(",\"end\":").append(std::to_string(now / 1000)).append(",\"texts\":[");
  for (const std::string& text : texts_) {
    AppendQuoted(text, &out);
    out.push_back(',');
  }
  CloseList(&out);
  out.append(",\"messages\":[");
  for (const Sent& sent : sent_) {
    AppendTime(sent.sent_ns, &out);
    AppendTime(sent.arrived_ns, &out);
    for (const std::uint64_t number : {std::uint64_t{sent.from}, std::uint64_t{sent.to}, std::uint64_t{sent.kind},
                                       std::uint64_t{sent.label}, std::uint64_t{sent.detail}}) {
      AppendNumber(number, &out);
    }
  }
  CloseList(&out);
  out.append(",\"marks\":[");
  for (const Mark& mark : marks_) {
    AppendTime(mark.at_ns, &out);
    AppendTime(mark.until_ns == kNotYet ? now : mark.until_ns, &out);
    for (const std::uint64_t number :
         {std::uint64_t{mark.member}, std::uint64_t{mark.kind}, std::uint64_t{mark.detail}}) {
      AppendNumber(number, &out);
    }
  }
  CloseList(&out);
  out.append(",\"roles\":[");
  for (const Held& held : held_) {
    const consensus::Leadership& l = held.leadership;
    out.append("[").append(std::to_string(held.at_ns / 1000)).append(",").append(std::to_string(held.member));
    out.append(",\"").append(RoleName(l.role)).append("\",").append(std::to_string(l.ballot.number)).append(",");
    out.append(std::to_string(l.ballot.owner.value)).append(",");
    out.append(std::to_string(l.leader.value_or(ReplicaId()).value)).append(l.established ? ",1]," : ",0],");
  }
  CloseList(&out);
  out.append("}");
  return out;
}

std::string Recorder::Page(const std::string& title, std::uint64_t now) const {
  constexpr std::string_view kPlace = "/*DATA*/null";
  std::string page(kTracePage);
  page.replace(page.find(kPlace), kPlace.size(), Data(title, now));
  return page;
}

}  // namespace quorate::sim
