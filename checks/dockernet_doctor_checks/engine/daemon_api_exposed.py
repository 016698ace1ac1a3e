"""daemon-api-exposed: the API listens on TCP without TLS; who reaches it is root on this host."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    daemon,
    daemon_subject,
    dockerd,
    model,
    remedy,
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Each daemon whose TCP address is not guarded by client certificates; on loopback it is worth knowing only."""
    for facts in case.hosts:
        hosts = daemon.option(facts, "hosts")
        verified = daemon.option(facts, "tlsverify")
        # tls alone asks for client certificates as well: seen on 20.10 and 28.5
        guarded = verified or daemon.option(facts, "tls")
        if facts.snapshot.daemon.pid is None or hosts is None or (guarded is not None and guarded.value == "true"):
            continue
        urls = [url for url in hosts.values if url.startswith(("tcp://", "http://")) or "://" not in url]
        beyond = [url for url in urls if not _address(url).startswith(("127.", "localhost", "[::1]"))]
        if not urls:
            continue
        shown, local = beyond or urls, not beyond
        yield Finding(
            severity="info" if local else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=_summary(facts, shown, local=local),
            evidence=(
                *daemon.setting_evidence(hosts),
                *(evidence for url in shown for evidence in _listening(facts, url)),
                Evidence(fact="tlsverify", value=verified.value if verified else "not set", source=hosts.where),
            ),
            fixes=_fixes(facts, hosts.values, shown),
        )


def _address(url: str) -> str:
    return url.partition("://")[2] or url


def _summary(facts: HostFacts, urls: list[str], *, local: bool) -> str:
    who = f"every process of {facts.here}, and containers in host mode," if local else "anyone who can reach it"
    # tlsverify switches TLS on, whatever its value
    without = "and asks for no certificate (tlsverify is false)" if daemon.option(facts, "tlsverify") else "without TLS"
    return f"The Docker API of {facts.name} listens at {daemon.names(urls)} {without}: {who} can become root on {facts.name}."


def _listening(facts: HostFacts, url: str) -> Iterator[Evidence]:
    port = _address(url).rstrip("/").rpartition(":")[2]
    listeners: tuple[model.Listener, ...] = (facts.stack.listeners or ()) if facts.stack else ()
    for listener in listeners:
        if listener.protocol == "tcp" and str(listener.port) == port:
            yield Evidence(fact="listener", value=f"{listener.address}:{listener.port}", source="sock_diag")


def _fixes(facts: HostFacts, values: tuple[str, ...], urls: list[str]) -> tuple[Fix, ...]:
    summary = "Remove the TCP address and keep the socket."
    said = daemon.files_say(facts)
    written = said.get("hosts")
    if written is not None and written.where.startswith(f"{said.json_path}:"):
        kept = [v for v in values if v not in urls] or ["unix:///var/run/docker.sock"]
        return (remedy.edit_daemon_json(facts, {"hosts": kept}, summary=summary),)
    only = all(v in urls for v in values)
    flags = [dockerd.host_flag(url) for url in urls]
    anyone = shell.pattern("[[:space:]]+({})", reduce(lambda one, other: shell.pattern("{}|{}", one, other), flags))
    socket = shell.replacement(" -H unix:///var/run/docker.sock")
    edits = [(anyone, socket)] if only else [(flag, None) for flag in flags]
    return (
        dockerd.edit_flags(facts, *edits, summary=summary),
        Fix(
            summary="Or protect it: --tlsverify with --tlscacert, --tlscert and --tlskey, at port 2376.",
            impacts=("edits-file", "restarts-daemon"),
            runnable=False,
        ),
    )


check = Check(
    cause="daemon-api-exposed",
    title="The Docker API listens on TCP without TLS",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "host.sockets"),
    find=find,
    exposes=True,
    phrases=(
        "binding to ip address without --tlsverify is insecure",
        "api is accessible on http://",
        "binding to an ip address, even on localhost",
    ),
)
