"""cluster-advertise-malformed: no such interface, or no port: the daemon ends (article rule 36)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, Fix, HostFacts, cluster, daemon, daemon_subject, dockerd, is_loopback

_TEXT = (
    r"invalid --cluster-advertise configuration|invalid cluster advertise IP address or interface name|"
    r"discovery advertise parsing failed"
)


def find(case: Case) -> Iterator[Finding]:
    """Each daemon that ended over its --cluster-advertise, or would at its next start."""
    for facts in case.hosts:
        said = daemon.files_say(facts).get("cluster-advertise")
        failure = daemon.last_failure(facts)
        down = daemon.is_down(facts)
        ended = down and failure is not None and daemon.logged(facts, _TEXT) is failure
        wrong = _wrong(facts, said.value) if said else ""
        if said is None or not cluster.is_legacy(facts) or not (ended or wrong) or (down and not ended):
            continue
        problem = wrong or f"is no INTERFACE:PORT of {facts.here}"
        ending = "the daemon does not start" if down else "the daemon will not start again"
        yield Finding(
            severity="error" if down else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"{facts.name} advertises {said.value}, which {problem}: {ending}.",
            evidence=(*daemon.setting_evidence(said), *daemon.log_evidence(facts, failure if ended else None)),
            fixes=(_fix(facts),),
            hop="target",
        )


def _wrong(facts: HostFacts, value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not port.isdecimal():
        return "" if facts.snapshot.engine and cluster.advertised(facts) == value else "names no port"
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if facts.stack is None:
            return ""
        if facts.link(host) is None:
            return f"names an interface that does not exist ({host})" if host else "names no interface"
        own = [a.address for a in facts.stack.addresses if a.link == host and a.family == 4]
        if all(map(is_loopback, own)):
            return f"names an interface without an address that others could reach ({host})"
    return ""


def _fix(facts: HostFacts) -> Fix:
    advertise = cluster.own_advertise(facts)
    if not advertise:
        return Fix(summary="Write --cluster-advertise INTERFACE:2376, the interface that other hosts reach.", runnable=False)
    return dockerd.set_option(facts, "cluster-advertise", advertise, summary=f"Advertise {advertise}, and restart the daemon.")


check = Check(
    cause="cluster-advertise-malformed",
    title="--cluster-advertise needs an interface and a port",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "store"),
    find=find,
    phrases=(
        "invalid --cluster-advertise configuration",
        "invalid cluster advertise ip address or interface name",
        "discovery advertise parsing failed",
    ),
    engines="≤ 20.10",
    article=(36,),
)
