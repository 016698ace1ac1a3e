"""bridge-netfilter-off: without docker-proxy, neighbours reach each other by published port only with br_netfilter."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import Case, Check, Finding, Fix, HostFacts, affected, daemon, host_subject, model, remedy, shell

from ._without_proxy import evidence, stuck

KEY = "net.bridge.bridge-nf-call-iptables"


def find(case: Case) -> Iterator[Finding]:
    """The setting, where somebody publishes a port beside a neighbour and no docker-proxy stands in."""
    for facts in case.hosts:
        paths = tuple(path for path, _ in stuck(case, "bridge-netfilter") if path.host == facts.name)
        value = facts.sysctl(KEY)
        hurt = _published_beside_another(facts) if facts.stack and value != "1" and daemon.without_proxy(facts) else ()
        if not paths and not hurt:
            continue
        yield Finding(
            severity="error" if paths else "warning",
            confidence="proven",
            subject=host_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"Containers on {facts.name} cannot reach their neighbours through published ports: docker-proxy is off, and "
                f"{KEY} is {value or 'absent (br_netfilter is not loaded)'}."
            ),
            evidence=evidence(facts, KEY, value or "absent", paths),
            fixes=(_fix(facts, value),),
            hop="mapping",
            explains=paths,
        )


def _published_beside_another(facts: HostFacts) -> tuple[model.Container, ...]:
    return tuple(
        c for c in facts.running if c.ports and any(n.bridge and len(facts.members(n)) > 1 for n in facts.networks_of(c))
    )


def _fix(facts: HostFacts, value: str | None) -> Fix:
    fix = remedy.set_sysctl(facts, KEY, "1")
    if value is not None:
        return fix
    load = shell.line("modprobe br_netfilter && echo br_netfilter > /etc/modules-load.d/br_netfilter.conf")
    unload = shell.line("rm /etc/modules-load.d/br_netfilter.conf && modprobe -r br_netfilter")
    return replace(
        fix,
        summary=f"Load br_netfilter and set {KEY} to 1.",
        commands=(load, *fix.commands),
        undo=(*fix.undo, unload),
        changes=(),
    )


check = Check(
    cause="bridge-netfilter-off",
    title="Bridged packets go past iptables",
    subjects=("host",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "mapping", "host.files"),
    find=find,
    phrases=(
        "bridge-nf-call-iptables is disabled",
        "bridge-nf-call-ip6tables is disabled",
        "br_netfilter",
    ),
)
