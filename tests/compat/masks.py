"""What two right answers may differ in. Everything else that etcdctl prints must be equal, to the letter."""
import hashlib
import re

LONG_OUTPUT_BYTES = 64 << 10  # longer ones are kept as size and digest: a failure must stay readable

# (pattern, replacement, reason); applied in this order to stdout and stderr.
MASKS = [
    (r"^Member +", "Member ", "an id is padded to sixteen places"),
    (r"\bcluster +(?=[0-9a-f]{13,16}$)", "cluster ", "one cluster id in sixteen has fewer places, and is padded too"),
    (r'"(cluster_id)":\d+', r'"\1":CLUSTER', "cluster ids come from the initial cluster and token, each server by its own rule"),
    (r'"(member_id)":\d+', r'"\1":MEMBER', "member ids likewise; and on three nodes another member may answer"),
    (r'"(raft_term|raftTerm)":\d+', r'"\1":TERM', "how many elections it took"),
    (r'"(ClusterID)" : \d+', r'"\1" : CLUSTER', "as above, in the format `fields`"),
    (r'"(MemberID)" : \d+', r'"\1" : MEMBER', "as above"),
    (r'"(RaftTerm)" : \d+', r'"\1" : TERM', "as above"),
    (r"127\.0\.0\.1:\d+", "ADDRESS", "ports are free ones of this run"),
    (r'"ts":"[^"]*"', '"ts":TIME', "the client's clock"),
    (r'"target":"[^"]*"', '"target":TARGET', "a name that the client makes up at each start"),
    (r"took = [0-9.]+[mµn]?s", "took = TIME", "how long a health check took"),
    (r"\d+[.0-9]*[mµn]s\b", "TIME", "durations in tables"),
    (r"remaining\(\d+s\)", "remaining(TIME)", "seconds pass between two commands"),
    (r'"ttl":([1-9]\d*)', '"ttl":TTL', "the remaining time of a lease, in JSON"),
    (r'"TTL" : ([1-9]\d*)', '"TTL" : TTL', "as above, in the format `fields`"),
]

# Only for the commands that report about a member (status, hashkv): Quorate's disk and log are not etcd's.
REPORT_MASKS = [
    (r"\d+(\.\d+)? [kMG]?B\b", "SIZE", "bytes of the keyspace: another engine"),
    (r'"(dbSize|dbSizeInUse)":\d+', r'"\1":SIZE', "as above"),
    (r'"(DBSize|DBSizeInUse)" : \d+', r'"\1" : SIZE', "as above"),
    (r'"(raftIndex|raftAppliedIndex)":\d+', r'"\1":INDEX', "positions of the log: another log"),
    (r'"(RaftIndex|RaftAppliedIndex)" : \d+', r'"\1" : INDEX', "as above"),
    (r'"version":"[^"]*"', '"version":VERSION', "the version of etcd that Quorate speaks is newer than Debian's"),
    (r'"Version" : "[^"]*"', '"Version" : VERSION', "as above"),
    (r"\b3\.\d+\.\d+(-\w+)?\b", "VERSION", "as above"),
    (r'"name":"n\d"', '"name":NAME', "members are listed in the order of their ids, which say nothing about the names"),
    (r'"Name" : "n\d"', '"Name" : NAME', "as above"),
    (r"started, n\d,", "started, NAME,", "as above, simple"),
    (r"\| started \| n\d \|", "| started | NAME |", "as above, table"),
    (r'"leader":\d+', '"leader":MEMBER', "a member id"),
    (r'"Leader" : \d+', '"Leader" : MEMBER', "a member id"),
    (r'"hash":\d+', '"hash":HASH', "the hash covers each server's own records; that members agree is checked apart"),
    (r'"Hash" : \d+', '"Hash" : HASH', "as above"),
    (r"ADDRESS, \d+$", "ADDRESS, HASH", "as above, simple"),
    (r"(true|false), (true|false), \d+, \d+, \d+,", r"LEADS, \2, TERM, INDEX, INDEX,", "who won the election, term, log positions; simple"),
    (r"\| (true|false) \| (true|false) \| \d+ \| \d+ \| \d+ \|", r"| LEADS | \2 | TERM | INDEX | INDEX |", "as above, table"),
    (r"\| ADDRESS \| \d+ \|", "| ADDRESS | HASH |", "the hash, table"),
]

HEXADECIMAL_ID = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{13,16}(?![0-9a-zA-Z])")
DECIMAL_ID = re.compile(r'("(?:ID|id|lease|Lease|leaseID)" ?: ?|"ID":)(-?\d{10,})')
# The keys of a lease come in random order from etcd (it walks a hash map): they are sorted here.
LEASE_KEYS = [
    (re.compile(r"(?<=attached keys\(\[)[^\]]*"), lambda match: " ".join(sorted(match[0].split(" ")))),
    (re.compile(r'(?<="keys":\[)[^\]]*'), lambda match: ",".join(sorted(match[0].split(",")))),
    (re.compile(r'("Key" : .*\n){2,}'), lambda match: "".join(sorted(match[0].splitlines(True)))),
]
PANIC = re.compile(r"^goroutine \d+ \[running\]:\n.*", flags=re.MULTILINE | re.DOTALL)  # addresses in the trace of a client's own bug


class Masker:
    """Masks one transcript; the ids of leases and members become ID1, ID2... in the order in which they appear."""

    def __init__(self):
        self.ids = {}

    def alias(self, number):
        return self.ids.setdefault(number, f"ID{len(self.ids) + 1}")

    def __call__(self, text, report=False):
        if len(text) > LONG_OUTPUT_BYTES:
            # Long outputs are the simple format's keys and values: nothing of them is masked.
            return f"({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()})\n"
        for pattern, replacement in LEASE_KEYS:
            text = pattern.sub(replacement, text)
        text = PANIC.sub("(the client panics here)\n", text)
        if "+--" in text:  # a table: its columns are as wide as what is masked
            text = re.sub(r"-+", "-", re.sub(r" +", " ", text))
        for pattern, replacement, _ in MASKS + (REPORT_MASKS if report else []):
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        # Decimals first: one in a thousand random ids has so few digits that it could be taken for a hexadecimal one.
        text = DECIMAL_ID.sub(lambda match: match[1] + self.alias(int(match[2])), text)
        text = HEXADECIMAL_ID.sub(lambda match: self.alias(int(match[0], 16)), text)
        return text


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def protobuf_fields(data):
    """[(number, bytes or int)] of a message made of varints and byte strings, as all of etcd's are."""
    at, fields = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        fields.append((tag >> 3, value))
    return fields


def show_field(number, value, depth=0):
    """One field as lines; a byte string that can be read as a message is shown as one, so that a lease inside it can be masked."""
    indent = "  " * depth
    if isinstance(value, int):
        return [f"{indent}{number} " + (f"{value:016x}" if value > 1 << 40 else str(value))]
    try:
        nested = [line for field in protobuf_fields(value) for line in show_field(*field, depth + 1)]
    except (ValueError, IndexError):
        nested = []
    return [f"{indent}{number}:"] + nested if nested and len(value) > 4 else [f"{indent}{number} {value!r}"]


def mask_protobuf(data):
    """A response message as text; of the header (field 1) only the revision stays."""
    lines = []
    for number, value in protobuf_fields(data):
        if number == 1 and isinstance(value, bytes):
            lines.append("header " + str([field for field in protobuf_fields(value) if field[0] == 3]))
        else:
            lines += show_field(number, value)
    return "\n".join(lines) + "\n"
