// A transaction written as text: what `quorate kv txn` reads. The form is that of etcdctl's interactive transaction
// without its prompts:
//
//   mod("greeting") > "0"          compares, one a line: version, create, mod, value or lease; =, !=, < or >
//   value("greeting") = "hello"
//                                  a blank line ends each part
//   put greeting "good morning"    done when every compare holds: get, put and del with their flags
//   get greeting
//
//   put greeting "hello"           done otherwise
//
// Words are split at blanks; "..." keeps blanks and knows \" \\ \n \r \t \xHH; '...' is taken as it is; a line that
// begins with # is a remark. A part may be empty, and parts at the end may be missing. Thread rule: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "etcd/rpc.pb.h"

namespace quorate::cli {

// INVALID_ARGUMENT with the line's number when it cannot be read.
Result<etcdserverpb::TxnRequest> ParseTxn(std::string_view text);

Result<std::vector<std::string>> SplitWords(std::string_view line);

}  // namespace quorate::cli
