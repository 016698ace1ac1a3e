"""What a rule goes by that no snapshot holds: the moment, who came before, chance, a program. In words, for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dockernet_doctor.netfilter.describe import wording
from dockernet_doctor.regex import regex

if TYPE_CHECKING:
    from dockernet_doctor.netfilter.model import Unknown

_LIST = r"(?:.*--name \"?(?P<list>[^\s\"]+))?"
# As iptables-save and nft write them (iptables-extensions(8), nft(8)); the first that fits.
_MOODS = (
    (
        regex(r"-m hashlimit .*--hashlimit-(?P<side>above|upto) (?P<rate>\S+)"),
        "how often the same source came lately ({side} {rate})",
    ),
    (
        regex(r"-m limit(?: --limit (?P<rate>\S+))?|^limit rate (?P<over>over )?(?P<nft>\S+)"),
        "how many packets came lately ({rate})",
    ),
    (regex(r"-m recent " + _LIST), "whether the source is on the list {list}, which packets fill"),
    (
        regex(r"-m connlimit .*--connlimit-(?P<side>above|upto) (?P<rate>\d+)"),
        "how many connections the source has ({side} {rate})",
    ),
    (regex(r"ct count (?:over )?(?P<rate>\d+)"), "how many connections there are ({rate})"),
    (regex(r"-m quota .*--quota (?P<rate>\d+)|^quota (?:over )?(?P<nft>.+)"), "how many bytes have passed ({rate})"),
    (
        regex(r"-m length --length (?P<rate>\S+)|^(?:meta|ip6?) length (?P<nft>.+)"),
        "how large a packet is ({rate} bytes)",
    ),
    (regex(r"-m time |meta (?:hour|day|time)"), "the time of day"),
    (regex(r"-m statistic|numgen"), "chance, or the number of the packet"),
    (regex(r"NFQUEUE.* --queue-bypass|^queue .*bypass"), "the program behind the queue; without one they pass"),
    (regex(r"NFQUEUE|^queue"), "the program behind the queue; without one they are dropped"),
    (regex(r"^notrack"), "connection tracking, which a rule of the raw table leaves out or splits (NOTRACK, CT --zone)"),
    (regex(r"^the interface of the chain"), "which interface the chain is hooked to (nft list ruleset says so)"),
    (regex(r"-m (?:string|u32|bpf|l7proto)|@(?:th|nh|ll|ih)"), "what the packet holds"),
    (regex(r"^xt match"), "what the rule asks for, which only `ebtables -L` shows"),
    (regex(r"-m (?:owner|cgroup)|meta (?:skuid|skgid|cgroup)"), "which user or program sends"),
)


def mood(unknown: Unknown) -> str:
    """What the outcome depends on: `how many packets came lately (5/sec)`."""
    for pattern, words in _MOODS:
        if found := pattern.search(unknown.what) or (pattern.search(wording(unknown.rule)) if unknown.rule else None):
            given = {name: value or "" for name, value in found.groupdict().items()}
            given["rate"] = given.get("rate") or given.get("nft", "")
            given["list"] = given.get("list") or "DEFAULT"
            return re.sub(r" \(\s*\)", "", words.format_map({"side": "", **given}))
    return "what no snapshot holds"
