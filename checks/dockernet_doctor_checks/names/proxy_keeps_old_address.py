"""proxy-keeps-old-address: a reverse proxy, or a client, resolved a name once and keeps an old address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    model,
    names,
    neighbours,
    remedy,
    shell,
    witness,
)

_STATE = r"\bServer [^/\s]+/([A-Za-z0-9_.-]+) is (DOWN|UP)\b"  # HAProxy's health checks


def find(case: Case) -> Iterator[Finding]:
    """Proxies and clients whose log names an address that nobody has, or that does not serve that port, now."""
    for facts, container in case.running():
        said = next((d for d in witness.dialled(container) if _is_kept(facts, container, d)), None)
        if said is not None and said.port is not None:
            yield _finding(facts, container, said.line, said.host, said.port)
        elif neighbours.reverse_proxy(container) == "haproxy" and (down := _down(facts, container)):
            yield _of_haproxy(facts, container, *down)


def _down(facts: HostFacts, proxy: model.Container) -> tuple[model.Container, str] | None:
    """A server that HAProxy says is down, called like a container that runs beside it and was started after it, and the line.

    HAProxy resolves names when it starts (without `resolvers`), and its log does not say the address that it keeps.
    """
    last: dict[str, tuple[str, str]] = {}
    for line in proxy.log_tail:
        if found := re.search(_STATE, line):
            last[found[1]] = found[2], line
    for server, (state, line) in last.items():
        target = names.meant(facts, server, proxy) if state == "DOWN" else None
        if target is None or not target.state.running or not facts.common_networks(proxy, target):
            continue
        if target.state.started_at > proxy.state.started_at and facts.listeners(target, "tcp"):
            return target, line
    return None


def _of_haproxy(facts: HostFacts, proxy: model.Container, target: model.Container, line: str) -> Finding:
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, proxy),
        affects=affected(facts, proxy),
        summary=(
            f"{proxy} says that its server {target} is down, and {target} runs: it was started after {proxy}, which keeps the "
            "address that it resolved when it started."
        ),
        evidence=(
            Evidence(fact="log", value=line, source=f"log of {proxy.name}"),
            Evidence(fact=f"{target} started", value=target.state.started_at, source=f"inspection of {target.name}"),
            Evidence(fact=f"{proxy} started", value=proxy.state.started_at, source=f"inspection of {proxy.name}"),
        ),
        fixes=(
            remedy.restart(facts, proxy),
            Fix(
                summary='In HAProxy: a section "resolvers" with "nameserver docker 127.0.0.11:53", and its name at the server.',
                runnable=False,
            ),
        ),
    )


def _is_kept(facts: HostFacts, container: model.Container, said: witness.Dialled) -> bool:
    """True if it is an old address that a name was resolved to once: no setting has it, and it is dialled still."""
    if said.port is None or not _is_old(facts, said.host, said.port):
        return False
    if witness.is_current(facts, container, said.host, said.port):
        return False
    if any(reference.host == said.host for reference in container.references):
        return False
    upstream = "upstream" in said.line or neighbours.reverse_proxy(container) != ""
    return upstream or said.line in container.log_tail[-witness.LATELY :]


def _is_old(facts: HostFacts, address: str, port: int) -> bool:
    network = facts.network_containing(address) if names.is_address(address) else None
    if network is None or facts.is_own(address):
        return False
    holder = facts.holder(address)
    if holder is None:
        return True
    listeners = facts.listeners(holder[0], "tcp")
    return listeners is not None and not any(li.port == port for li in listeners)


def _finding(facts: HostFacts, container: model.Container, line: str, address: str, port: int) -> Finding:
    holder = facts.holder(address)
    whose = f"{holder[0]}'s, which does not listen there" if holder else "nobody's"
    reload = ("nginx", "-s", "reload") if neighbours.reverse_proxy(container) in ("nginx", "nginx-proxy", "openresty") else ()
    fix = (
        Fix(
            summary=f"Make {container} reload its configuration, which resolves the name again.",
            commands=(shell.command("docker", "exec", *shell.operands(container.name), *reload),),
            lasts="until-restart",
        )
        if reload
        else remedy.restart(facts, container)
    )
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} still dials {address}:{port}, which is {whose} now{_offer(facts, container, port)}.",
        evidence=(Evidence(fact="log", value=line, source=f"log of {container.name}"),),
        fixes=(
            fix,
            Fix(
                summary='In nginx: "resolver 127.0.0.11 valid=10s;" and the name of the upstream in a variable.',
                runnable=False,
            ),
        ),
    )


def _offer(facts: HostFacts, container: model.Container, port: int) -> str:
    """Who serves the port on its networks, where that is one."""
    found = [c for c in neighbours.neighbours(facts, container, port) if facts.common_networks(container, c)]
    serving = [c for c in found if any(li.port == port for li in facts.listeners(c, "tcp") or ())]
    return f"; {serving[0]} listens on {port}" if len(serving) == 1 else ""


check = Check(
    cause="proxy-keeps-old-address",
    title="A reverse proxy still dials the old address of its upstream",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network"),
    find=find,
    frequent=True,
    phrases=(
        "connect() failed (111: connection refused) while connecting to upstream",
        "connect() failed (113: no route to host) while connecting to upstream",
        "is down, reason: layer4 connection problem",
        "502 bad gateway",
        "503 service unavailable",
    ),
)
