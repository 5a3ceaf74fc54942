"""Keys: what put, get, del, txn and compaction print. Each function is one case; `c` is a Console."""


def put_and_get(c):
    c("get", "absent")
    c.formats("put", "greeting", "hello")
    c.formats("get", "greeting")
    c.formats("get", "absent")
    c("get", "greeting", "--hex")
    c("get", "greeting", "-w", "table")
    c("get", "greeting", "-w", "nonsense")


def put_value_from_stdin(c):
    c("put", "k", stdin="from stdin\n")
    c("get", "k", "--print-value-only")
    c("put", "k", stdin="")
    c("get", "k", "-w", "json")
    c("put", "k", "--", "-dash")
    c("get", "k")
    c("put", "k", "too", "many")


def put_prev_kv(c):
    c.formats("put", "k", "one", "--prev-kv")
    c.formats("put", "k", "two", "--prev-kv")
    c("put", "k", "three", "--prev-kv")


def put_ignore_value(c):
    c("put", "k", "--ignore-value")
    lease = c.lease(600)
    c("put", "k", "v")
    c("put", "k", "--ignore-value", "--lease", lease)
    c.formats("get", "k")
    c("put", "k", "value too", "--ignore-value")


def put_ignore_lease(c):
    c("put", "k", "v", "--ignore-lease")
    lease = c.lease(600)
    c("put", "k", "one", "--lease", lease)
    c("put", "k", "two", "--ignore-lease")
    c.formats("get", "k")
    c("put", "k", "three", "--lease", lease, "--ignore-lease")
    c("put", "k", "four")
    c("get", "k", "-w", "json")
    c("lease", "timetolive", lease, "--keys")


def put_unknown_lease(c):
    c("put", "k", "v", "--lease", "1234")
    c("put", "k", "v", "--lease", "not hexadecimal")
    c("get", "k", "-w", "json")


def keys_a_to_e(c):
    for key, value in (("a", "5"), ("b", "4"), ("c", "3"), ("d", "2"), ("e", "1"), ("b", "44"), ("d", "22"), ("d", "222")):
        c("put", key, value)


def ranges(c):
    keys_a_to_e(c)
    c("get", "b", "d")
    c("get", "b", "b")
    c("get", "d", "b")
    c("get", "b", "--from-key")
    c("get", "", "--from-key")
    c("get", "", "--prefix")
    c("get", "", "--prefix", "--keys-only")
    c("get", "", "e")
    c("get", "")
    c("get")
    c("get", "a", "b", "c")
    c("get", "a", "--prefix", "--from-key")
    c("get", "a", "b", "--prefix")
    c("get", "a", "b", "--from-key")


def prefixes(c):
    for key in ("a", "aa", "aab", "ab", "b", "a\xff", "\xff", "\xff\xff"):
        c("put", key, "of " + key)
    c("get", "a", "--prefix", "--keys-only")
    c("get", "aa", "--prefix")
    c("get", "\xff", "--prefix")
    c("get", "zz", "--prefix", "-w", "json")
    c("get", "aa", "--from-key", "--limit", "2")


def get_limit_and_more(c):
    keys_a_to_e(c)
    for limit in (0, 1, 2, 4, 5, 6):
        c.formats("get", "", "--prefix", "--limit", str(limit), formats=("simple", "json", "fields"))
    c("get", "", "--prefix", "--limit", "-1", "-w", "json")
    c("get", "b", "d", "--limit", "1", "-w", "json")


def get_sorted(c):
    keys_a_to_e(c)
    for target in ("KEY", "VALUE", "CREATE", "MODIFY", "VERSION"):
        c("get", "", "--prefix", "--sort-by", target)
        for order in ("ASCEND", "DESCEND"):
            c("get", "", "--prefix", "--sort-by", target, "--order", order)
            c("get", "", "--prefix", "--sort-by", target, "--order", order, "--limit", "2", "-w", "json")
    c("get", "", "--prefix", "--order", "DESCEND")
    c("get", "", "--prefix", "--sort-by", "NONSENSE")
    c("get", "", "--prefix", "--order", "NONSENSE")


def get_sorted_with_equal_values(c):
    for key in "abcdefghijklmnop":
        c("put", key, "same")
    for order in ("ASCEND", "DESCEND"):
        c("get", "", "--prefix", "--sort-by", "VERSION", "--order", order, "--keys-only")
        c("get", "", "--prefix", "--sort-by", "VALUE", "--order", order, "--keys-only")


def get_flags(c):
    c("put", "k1", "v1")
    c("put", "k2", "v2")
    c.formats("get", "k", "--prefix", "--keys-only")
    c("get", "k", "--prefix", "--print-value-only")
    c("get", "k", "--prefix", "--print-value-only", "--hex")
    c("get", "k", "--prefix", "--keys-only", "--print-value-only")
    c("get", "k1", "--consistency", "l")
    c("get", "k1", "--consistency", "x")
    c("put", "k1", "v3", on=0)
    c("get", "k1", "--consistency", "s", on=0)
    c("get", "k", "--prefix", "--consistency", "s", "-w", "json", on=0)


def get_at_a_revision(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "k", "two")
    c("del", "k")
    c("put", "k", "three")
    c("put", "other", "x")
    for revision in range(start, start + 6):
        c("get", "k", "--rev", str(revision), "-w", "json")
        c("get", "", "--prefix", "--rev", str(revision))
    c("get", "k", "--rev", str(start + 6))
    c("get", "k", "--rev", "-1")
    c("get", "k", "--rev", "0")
    c("get", "k", "--rev", "x")


def versions_start_again_after_a_delete(c):
    for _ in range(3):
        c("put", "k", "v")
    c("get", "k", "-w", "fields")
    c("del", "k")
    c("get", "k", "-w", "fields")
    c("put", "k", "v")
    c("get", "k", "-w", "fields")


def deletes(c):
    keys_a_to_e(c)
    c("del", "absent")
    c("del", "absent", "-w", "json")
    c.formats("del", "a", "--prev-kv")
    c("put", "a", "again")
    c("del", "a", "--prev-kv")
    c("del", "a", "c")
    c("put", "b1", "1")
    c("put", "b2", "2")
    c("del", "b", "--prefix", "--prev-kv", "-w", "json")
    c("del", "d", "--from-key", "--prev-kv")
    c("del", "", "--prefix")
    c("del", "")
    c("del", "a", "--prefix", "--from-key")
    c("get", "", "--prefix", "-w", "json")
    c("put", "last", "one")
    c("del", "", "--from-key", "-w", "fields")


def a_delete_of_nothing_takes_no_revision(c):
    c("put", "k", "v")
    c("del", "absent", "-w", "json")
    c("del", "absent", "--prefix", "-w", "json")
    c("get", "k", "-w", "json")


def strange_keys_and_values(c):
    for key, value in (("with space", "a b"), ("new\nline", "x\ny"), ("täst/ключ/鍵", "wért 値 😀"), ("tab\t", "\t"), ("quote\"'", "\"'"),
                       ("-", "dash"), ("/", "slash"), ("k", "")):
        c("put", "--", key, value)
        c("get", "--", key)
        c("get", "-w", "fields", "--", key)
        c("get", "-w", "json", "--", key)
    c("get", "--from-key", "", "--keys-only", "--hex")
    c("put", "", "empty key")
    c("put", "binary", stdin=bytes(range(256)))
    c("get", "binary", "--print-value-only", "--hex")
    c("get", "binary", "-w", "json")


def big_values(c):
    c("put", "big", stdin="x" * 1_400_000)
    c("get", "big", "--print-value-only")
    c("put", "big", stdin="x" * 1_600_000)
    c("put", "big", stdin="x" * 2_000_000)
    c("put", "big", stdin="x" * 2_200_000)
    c("get", "big", "--keys-only")
    c("del", "big", "--prev-kv")


def many_keys(c):
    for base in range(0, 10_000, 125):
        puts = "".join(f"put key{i:05} value{i}\n" for i in range(base, base + 125))
        c("txn", stdin=f"\n{puts}\n\n")
    c("get", "key", "--prefix")
    c("get", "key", "--prefix", "--keys-only", "--order", "DESCEND")
    c("get", "key012", "--prefix", "--limit", "3", "-w", "fields")
    c("get", "key09990", "--from-key")
    c("del", "key0", "--prefix")
    c("del", "", "--from-key")


def compaction(c):
    start = c.revision()
    for value in range(6):
        c("put", "k", str(value))
    c("del", "k")
    c("put", "k", "again")
    c("compaction", str(start + 3))
    c("get", "k", "--rev", str(start + 2))
    c("get", "k", "--rev", str(start + 3))
    c("get", "k", "--rev", str(start + 4))
    c("compaction", str(start + 3))
    c("compaction", str(start + 2))
    c("compaction", str(start + 100))
    c("compaction", "0")
    c("compaction", "-1")
    c("compaction", "x")
    c("compaction")
    c("compaction", str(start + 7), "--physical")
    c("get", "k", "--rev", str(start + 6))
    c("get", "k", "--rev", str(start + 7), "-w", "json")
    c("get", "k", "-w", "json")
    c("compaction", str(start + 8))
    c("get", "k", "-w", "json")


def txn_script(c, text, *flags):
    return c("txn", *flags, stdin=text)


def txn_succeeds_and_fails(c):
    c("put", "k", "v")
    script = 'value("k") = "v"\n\nput k then\nget k\n\nput k otherwise\nget k\n\n'
    for flags in ((), ("-w", "json"), ("-w", "fields"), ("-i",)):
        txn_script(c, script, *flags)
    c("get", "k", "-w", "json")
    txn_script(c, "\nget k\n\n\n")
    txn_script(c, "\n\n\n")
    txn_script(c, "\n\n\n", "-w", "json")


def txn_every_compare(c):
    start = c.revision()
    c("put", "k", "m")
    c("put", "k", "m")
    for target, values in (("mod", (start + 1, start + 2, start + 3)), ("create", (start, start + 1, start + 2)), ("version", (1, 2, 3)),
                           ("value", ("l", "m", "n"))):
        for operator in ("=", ">", "<", "!="):
            for value in values:
                txn_script(c, f'{target}("k") {operator} "{value}"\n\nget k\n\n\n')
    for target in ("m", "mod", "c", "create", "ver", "version", "val", "value", "nonsense"):
        txn_script(c, f'{target}("k") = "1"\n\n\n\n')


def txn_compares_of_absent_keys(c):
    for target in ("mod", "create", "version", "value"):
        for operator in ("=", ">", "<", "!="):
            txn_script(c, f'{target}("absent") {operator} "0"\n\n\n\n')
    txn_script(c, 'value("absent") = ""\n\n\n\n')
    txn_script(c, 'create("absent") = "0"\nversion("absent") = "0"\n\nput absent now\n\nget absent\n\n', "-w", "json")
    txn_script(c, 'create("absent") = "0"\nversion("absent") = "0"\n\nput absent now\n\nget absent\n\n', "-w", "json")


def txn_operations(c):
    keys_a_to_e(c)
    lease = c.lease(600)
    txn_script(c, f"\nput f 1 --prev-kv\nput a 2 --prev-kv\nput g 3 --lease={lease}\nget a\nget f --keys-only\n\n\n", "-w", "json")
    txn_script(c, "\ndel b c --prev-kv\nget b\nget a --prefix\nget a --from-key --limit=2 --order=DESCEND\n\n\n", "-w", "json")
    txn_script(c, "\ndel absent\n\n\n", "-w", "json")
    txn_script(c, "\nget absent\n\n\n", "-w", "json")
    txn_script(c, "\nput a \"quoted value\"\nput 'single' \"x\\ty\"\nget a\nget single\n\n\n")
    c("lease", "timetolive", lease, "--keys")
    c("get", "", "--prefix", "-w", "json")


def txn_reads_its_own_writes(c):
    c("put", "k", "before")
    txn_script(c, "\nget k\nput k inside\nget k\ndel k\n\n\n")
    txn_script(c, "\nput n inside\nget n\nget n --rev=1\n\n\n", "-w", "json")
    c("get", "k", "-w", "json")


def txn_that_is_refused(c):
    c("put", "k", "v")
    before = c.revision()
    txn_script(c, "\nput a 1\nput a 2\n\n\n")
    txn_script(c, "\nput a 1\ndel a\n\n\n")
    txn_script(c, "\ndel a z\nput b 1\n\n\n")
    txn_script(c, "\ndel a z\ndel b\n\n\n")
    txn_script(c, "\n\nput a 1\nput a 2\n\n")
    txn_script(c, "\nput a 1\n\nput a 2\n\n")
    txn_script(c, "\nget k --rev=99999999\nput b 1\n\n\n")
    txn_script(c, "\nget k --rev=99999999\n\n\n")
    txn_script(c, "\nput b 1 --lease=1234\n\n\n")
    txn_script(c, "\nput missing --ignore-value\n\n\n")
    txn_script(c, "\nput missing v --ignore-lease\n\n\n")
    txn_script(c, "\nput \"\" v\n\n\n")
    txn_script(c, "\nget \"\"\n\n\n")
    txn_script(c, "\nwhat is this\n\n\n")
    txn_script(c, "nonsense\n\n\n\n")
    txn_script(c, 'mod("k") = "x"\n\n\n\n')
    txn_script(c, 'mod("k") ~ "1"\n\n\n\n')
    c.note(f"revisions taken: {c.revision() - before}")


def txn_size_limit(c):
    def puts(count):
        return "".join(f"put k{i} v\n" for i in range(count))

    def compares(count):
        return "".join(f'version("k{i}") = "0"\n' for i in range(count))

    txn_script(c, f"\n{puts(128)}\n\n", "-w", "json")
    txn_script(c, f"\n{puts(129)}\n\n")
    txn_script(c, f"\n\n{puts(129)}\n")
    txn_script(c, f"{compares(129)}\n\n\n")
    txn_script(c, f"{compares(128)}\n\n\n")


def txn_at_compacted_revision(c):
    start = c.revision()
    for value in range(4):
        c("put", "k", str(value))
    c("compaction", str(start + 3))
    txn_script(c, f"\nget k --rev={start + 2}\n\n\n")
    txn_script(c, f"\nget k --rev={start + 3}\n\n\n")
    txn_script(c, f"\nput x 1\nget k --rev={start + 2}\n\n\n")
    txn_script(c, f"\nput x 1\nget k --rev={start + 3}\n\n\n")
    c("get", "", "--prefix", "-w", "json")


CASES = [put_and_get, put_value_from_stdin, put_prev_kv, put_ignore_value, put_ignore_lease, put_unknown_lease, ranges, prefixes,
         get_limit_and_more, get_sorted, get_sorted_with_equal_values, get_flags, get_at_a_revision, versions_start_again_after_a_delete,
         deletes, a_delete_of_nothing_takes_no_revision, strange_keys_and_values, big_values, many_keys, compaction, txn_succeeds_and_fails,
         txn_every_compare, txn_compares_of_absent_keys, txn_operations, txn_reads_its_own_writes, txn_that_is_refused, txn_size_limit,
         txn_at_compacted_revision]
