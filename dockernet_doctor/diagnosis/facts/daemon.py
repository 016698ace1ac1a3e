"""The daemon's configuration as a diagnosis needs it: an option's value, where it is written, and what its log says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import lookup
from dockernet_doctor.diagnosis.finding import Evidence
from dockernet_doctor.moments import moment
from dockernet_doctor.netfilter.describe import describe_decision
from dockernet_doctor.netfilter.evaluate import journey, locality
from dockernet_doctor.netfilter.model import Context, Decision, Packet
from dockernet_doctor.netfilter.model import Route as PacketRoute
from dockernet_doctor.shell import Pattern, pattern
from dockernet_doctor.snapshot.daemon_options import Setting, Written, flag_name, running, written
from dockernet_doctor.snapshot.model import LogLine, Protocol

_DROP_IN = "/etc/systemd/system/docker.service.d"
_PACKAGED = ("/usr/lib/", "/lib/", "/usr/local/lib/")


def is_down(facts: HostFacts) -> bool:
    """True if the daemon gave no answer at all, the socket being there or not."""
    problem = facts.snapshot.problem
    return facts.snapshot.engine is None and problem is not None and problem.kind in ("no-socket", "refused", "timeout")


def nobody_behind_socket(facts: HostFacts) -> bool:
    """True if systemd's socket takes connections for a daemon that does not run: who connects waits for ever."""
    state, problem = facts.snapshot.daemon, facts.snapshot.problem
    if problem is None or problem.kind != "timeout" or not state.readable or state.pid is not None:
        return False
    ended = state.service_state == "activating" and last_failure(facts) is not None  # and is tried again and again
    return ended or state.service_state in ("failed", "inactive")


def files_say(facts: HostFacts) -> Written:
    return written(facts.snapshot.daemon)


def option(facts: HostFacts, key: str) -> Setting | None:
    """The option as it runs; of a daemon that does not run, as its files have it."""
    daemon = facts.snapshot.daemon
    now = running(daemon)
    return now.get(key) if now is not None else written(daemon).get(key)


def writes_ipv6_rules(facts: HostFacts) -> bool:
    """True if the daemon makes firewall rules for IPv6: from 27 unless told otherwise, before it where it is told to."""
    found = option(facts, "ip6tables")
    return found.value == "true" if found else facts.generation >= (27, 0)


def without_proxy(facts: HostFacts) -> Setting | None:
    """The option `userland-proxy: false`, where the daemon runs with it."""
    found = option(facts, "userland-proxy")
    return found if found is not None and found.value == "false" else None


def last_failure(facts: HostFacts) -> LogLine | None:
    """Why the daemon ended at its last start; None where it came up since, or its log does not say."""
    failure = None
    for line in facts.snapshot.daemon.log:
        if line.text.startswith(("Daemon has completed init", "API listen on")):
            failure = None
        elif line.level in ("fatal", "panic"):
            failure = line
    return failure


# Options without which a daemon that starts is another one: elsewhere, or without its data.
_NEEDED = frozenset({"hosts", "data-root", "graph", "exec-root", "pidfile", "containerd", "config-file", "cgroup-parent"})


def named_option(facts: HostFacts, words: str) -> Setting | None:
    """The option of the files whose value, or else whose name, stands in the daemon's last words: the longest such value,
    the first of two flags that exclude each other."""
    settings = [s for s in files_say(facts).settings if s.key not in _NEEDED]
    values = [(len(part), s) for s in settings for value in s.values for part in _parts(value) if part in words]
    if values:
        return max(values, key=lambda found: found[0])[1]
    if "local address space" in words:
        return next((s for s in settings if s.key == "default-address-pools"), None)
    flags = [(match.start(), s) for s in settings if (match := re.search(rf"(?<![\w-])({flags_of(s.key)})(?![\w-])", words))]
    if flags:
        return min(flags, key=lambda found: found[0])[1]
    named = (s for s in settings for value in s.values if f"{s.key}: {value}".lower() in words.lower())  # "default MTU: -1"
    if (option := next(named, None)) is not None:
        return option
    spoken = (s for s in settings if "-" in s.key and re.search(_phrase(s.key), words, re.IGNORECASE))
    return next(spoken, None)


def _phrase(key: str) -> str:
    """How a sentence names an option: "insecure registry" for insecure-registries."""
    stem = re.sub("(ies|s)$", "", key).replace("-", "[- ]")
    return rf"\b{stem}(y|ies|s)?\b"


def _parts(value: str) -> list[str]:
    """What of a value tells it from others: all of it; of KEY=VALUE also a dotted key, and a path."""
    parts = [value, *(part for part in value.split("=") if re.search("[./]", part))]
    return [part for part in parts if len(part) > 2 and part not in ("true", "false")]


def logged(facts: HostFacts, pattern: str) -> LogLine | None:
    """The last line of the daemon's log that matches, since its last start (and of the failed one before it)."""
    expression = re.compile(pattern)
    return next((line for line in reversed(facts.snapshot.daemon.log) if expression.search(line.text)), None)


def without_ipvs(facts: HostFacts) -> LogLine | None:
    """The line in which the daemon says so: once, "Native loadbalancing will not work until this is fixed." (libnetwork)."""
    return logged(facts, r"ipvs is not enabled in your kernel|[Ff]ailed to create an ipvs handle")


def lately(facts: HostFacts, line: LogLine) -> bool:
    """True if it was said within a day of the reading: a daemon that has run for months remembers what has healed since."""
    try:
        age = moment(facts.snapshot.taken_at) - moment(line.time)
    except (ValueError, TypeError):  # no time, or one without a zone
        return True
    return age < timedelta(days=1)


def log_evidence(facts: HostFacts, line: LogLine | None) -> tuple[Evidence, ...]:
    if line is None:
        return ()
    times = f" ({line.repeated} times)" if line.repeated > 1 else ""
    return (Evidence(fact=f"log{times}", value=line.text, source=facts.snapshot.daemon.log_source or "the daemon's log"),)


def setting_evidence(setting: Setting | None) -> tuple[Evidence, ...]:
    if setting is None:
        return ()
    return (Evidence(fact=setting.key, value=", ".join(setting.values), source=setting.where),)


def way_to(facts: HostFacts, address: str) -> str | None:
    """The interface by which this host reaches an address, for `INTERFACE:2376`; None where that is not known."""
    if facts.stack is None:
        return None
    try:
        found = lookup(facts.stack, address)
    except ValueError:
        return None
    return found.link if found.kind == "unicast" else None


def decided(
    facts: HostFacts, source: str, destination: str, port: int, protocol: Protocol, *, arriving: bool
) -> Decision | None:
    """What this host's firewall does to a packet of the overlay's own traffic; None where it lets it pass, or the rules
    are not known. `arriving`: from another host to this one; else it is sent by this one."""
    stack, rulesets = facts.stack, facts.rulesets
    if stack is None or not rulesets:
        return None
    link = way_to(facts, source if arriving else destination)

    def route(packet: Packet) -> PacketRoute:
        own = facts.is_own(packet.destination)
        return PacketRoute(kind="local") if own else PacketRoute(kind="forward", out_interface=link)

    packet = Packet(
        family=6 if ":" in destination else 4,
        protocol=protocol,
        source=source,
        destination=destination,
        sport=45000,
        dport=port,
        in_interface=link if arriving else None,
        out_interface=None if arriving else link,
    )
    context = Context(locality=locality(facts.own_addresses), route=route, ipsets=facts.ipsets)
    went = journey(rulesets, packet, context)
    return went.decision if went.verdict in ("drop", "reject") else None


def rule_text(decision: Decision) -> str:
    """The rule or policy that decided, for a sentence."""
    return describe_decision(decision)


def names(values: Iterable[str]) -> str:
    """`a, b and c`"""
    listed = list(values)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else "none"


def flags_of(key: str) -> Pattern:
    """The pattern of an option's flag, by its long name and its short one."""
    short = {"hosts": "-H", "bridge": "-b", "group": "-G", "pidfile": "-p"}.get(key)
    return pattern("{}|{}", flag_name(key), short) if short else pattern("{}", flag_name(key))
