"""proxy-keeps-old-address: a reverse proxy resolved its upstream once and keeps an old address (unseen)."""

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
)

FAILED = r"connect\(\) failed \((?:111|113|110): [^)]*\) while connecting to upstream"
UPSTREAM = r"upstream: \"\w+://(\[[^\]]+\]|[^:/\"]+):(\d+)"


def find(case: Case) -> Iterator[Finding]:
    """Proxies whose log names an upstream address that nobody has, or that does not serve that port, now."""
    for facts, container in case.running():
        if not container.log_tail or not neighbours.reverse_proxy(container):
            continue
        for line in reversed(container.log_tail):
            if "reconfiguring" in line:
                break  # nginx was reloaded since, and has asked for every name anew
            found = re.search(UPSTREAM, line) if re.search(FAILED, line) else None
            if found and _is_old(facts, found[1].strip("[]"), int(found[2])):
                yield _finding(facts, container, line, found[1].strip("[]"), int(found[2]))
                break


def _is_old(facts: HostFacts, address: str, port: int) -> bool:
    network = facts.network_containing(address)
    if not names.is_address(address) or network is None or facts.is_own(address):
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
            summary=f"Have {container} read its configuration again, and so resolve the name anew.",
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
        summary=f"{container} still dials {address}:{port} for its upstream, an address that is {whose} now.",
        evidence=(Evidence(fact="log", value=line, source=f"log of {container.name}"),),
        fixes=(
            fix,
            Fix(
                summary='In nginx: "resolver 127.0.0.11 valid=10s;" and the name of the upstream in a variable.',
                runnable=False,
            ),
        ),
    )


check = Check(
    cause="proxy-keeps-old-address",
    title="A reverse proxy keeps an address that is not its upstream's any more",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network"),
    find=find,
    frequent=True,
    phrases=(
        "connect() failed (111: connection refused) while connecting to upstream",
        "connect() failed (113: no route to host) while connecting to upstream",
        "502 bad gateway",
        "503 service unavailable",
    ),
)
