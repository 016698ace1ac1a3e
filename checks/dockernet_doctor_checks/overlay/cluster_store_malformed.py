"""cluster-store-malformed: a store's URL without protocol, with an unknown one, or without port (article rule 35).

Without a protocol, or with one the daemon was not built for, it ends; without a port it starts and dials 80.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    cluster,
    cluster_store,
    daemon,
    daemon_subject,
    dockerd,
)

_SCHEMES = {"etcd": "etcd", "consul": "consul", "zookeeper": "zk"}
_BY_PORT = {2379: "etcd", 4001: "etcd", 2181: "zk", 8500: "consul"}
_TEXT = r"discovery service not supported|Backend storage not supported"


def find(case: Case) -> Iterator[Finding]:
    """Each host whose --cluster-store the daemon cannot use as it is written."""
    for facts in case.hosts:
        url = cluster.store_url(facts)
        if not url or not cluster.is_legacy(facts):
            continue
        failure = daemon.logged(facts, _TEXT)
        refused = failure is not None and daemon.is_down(facts)
        wrong = _wrong(url, refused=refused)
        if not wrong:
            continue
        down = daemon.is_down(facts)
        effect = "the daemon does not start" if down else "the daemon dials port 80, and overlay networks are missing"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"The cluster store of {facts.name}, {url}, {wrong}: {effect}.",
            evidence=(
                *daemon.setting_evidence(daemon.option(facts, "cluster-store")),
                *daemon.log_evidence(facts, failure or daemon.logged(facts, r"dial tcp \S+:80: ")),
                *_seen(facts),
            ),
            fixes=_fixes(facts, url, refused=refused),
            hop="target" if down else "network",
            explains=cluster.paths_across(case, facts),
        )


def _wrong(url: str, *, refused: bool) -> str:
    scheme, addresses, _ = cluster_store.parse_store_url(url)
    if not scheme:
        return "names no protocol"
    if scheme not in cluster_store.SCHEMES:
        return f"has a protocol that no daemon knows ({scheme})"
    if refused:
        return f"has a protocol that this build of dockerd does not have ({scheme})"
    if not addresses or not all(a.host for a in addresses):
        return "names no host"
    if "://" in url.partition("://")[2]:
        return "names its protocol twice, which stands once before all addresses"
    return "names no port" if any(a.port is None for a in addresses) else ""


def _seen(facts: HostFacts) -> Iterator[Evidence]:
    for node in facts.snapshot.store.nodes if facts.snapshot.store else ():
        yield Evidence(
            fact=f"{node.address}:{node.port}",
            value=f"{node.connect} {node.kind} {node.version}".strip(),
            source="probe of the store",
        )


def _fixes(facts: HostFacts, url: str, *, refused: bool) -> tuple[Fix, ...]:
    right = _right(facts, url, refused=refused)
    if right and right != url:
        return (dockerd.set_option(facts, "cluster-store", right, summary=f"Write {right}, and restart the daemon."),)
    return (
        Fix(
            summary="Write etcd://HOST:2379 or zk://HOST:2181 (consul://HOST:8500 where dockerd was built with it).",
            impacts=("edits-file", "restarts-daemon"),
            runnable=False,
        ),
    )


def _pairs(addresses: Sequence[cluster_store.StoreAddress]) -> Iterator[tuple[str, int]]:
    """Host and port, 0 for none; a bare number behind a host without one is its port, the comma being a colon."""
    for address, following in zip(addresses, (*addresses[1:], None), strict=True):
        if _PORT.fullmatch(address.host) and address.port is None:
            continue
        port = following.host if following and following.port is None and _PORT.fullmatch(following.host) else 0
        yield f"[{address.host}]" if ":" in address.host else address.host, address.port or int(port)


_PORT = re.compile(r"[0-9]{1,5}")
_ADDRESS = r"([\w.-]+|\[[0-9a-fA-F:]+\]):(\d+)(?=$|[/,\s'\"])"


def _right(facts: HostFacts, url: str, *, refused: bool) -> str:
    """The URL as it was meant: what answered there says the protocol, else its own word or the port does; a port is the
    protocol's own. A protocol that this build refused is not meant."""
    scheme, addresses, path = cluster_store.parse_store_url(url)
    if not scheme or not scheme.isalnum() or "://" in url.partition("://")[2]:
        pairs, path = [(host, int(port)) for host, port in re.findall(_ADDRESS, url)], ""
    else:
        pairs = list(_pairs(addresses))
    nodes = facts.snapshot.store.nodes if facts.snapshot.store else ()
    kinds = {_SCHEMES[node.kind] for node in nodes if node.kind in _SCHEMES}
    word = re.match(r"\W*(etcd|zk|zookeeper|consul)", url, re.IGNORECASE)
    words = {_SCHEMES.get(word[1].lower(), word[1].lower())} if word else set()
    ports = {_BY_PORT[port] for _, port in pairs if port in _BY_PORT}
    lacking = {scheme} if refused else set()
    meant = (kinds - lacking) or (words - lacking) or (ports - lacking)
    if len(meant) != 1 or not pairs or not all(host for host, _ in pairs):
        return ""
    kind = next(iter(meant))
    hosts = ",".join(f"{host}:{port or cluster_store.DEFAULT_PORTS[kind]}" for host, port in pairs)
    return f"{kind}://{hosts}" + (f"/{path}" if path else "")


check = Check(
    cause="cluster-store-malformed",
    title="The cluster store's URL cannot be used",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "store"),
    find=find,
    phrases=("discovery service not supported", "backend storage not supported", "discovery initialization failed"),
    engines="≤ 20.10",
    article=(35, 38),
)
