"""bridge-full: a Linux bridge has 1023 ports, and neighbours are lost long before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, model, network_subject, obstacles, shell

LIMIT, CROWDED = 1023, 1000  # BR_MAX_PORTS - 1; above 1000 ARP suffers
_TEXT = "exchange full"


def find(case: Case) -> Iterator[Finding]:
    """Bridges with too many ports, and networks of containers that were refused one."""
    for facts in case.hosts:
        links = facts.stack.links if facts.stack else ()
        ports = Counter(link.master for link in links if link.master)
        dead = Counter(link.master for link in links if link.master and not link.carrier)
        refused: dict[str, list[model.Container]] = {}
        for container in facts.containers:
            if not container.state.running and _TEXT in container.state.error.lower():
                for network in facts.networks_of(container)[:1]:
                    refused.setdefault(network.id, []).append(container)
        for network in facts.snapshot.networks:
            count, hurt = ports.get(network.bridge or "", 0), refused.get(network.id, [])
            if not network.bridge or (count < CROWDED and not hurt):
                continue
            full = bool(hurt) or count >= LIMIT
            ids = {c.id for c in hurt}
            yield Finding(
                severity="error" if full else "warning",
                confidence="proven",
                subject=network_subject(facts, network),
                affects=affected(facts, *hurt),
                summary=(
                    f"The bridge {network.bridge} of the network {network.name} "
                    f"{'is full' if full else 'is crowded'}: it has {count} of at most {LIMIT} ports."
                ),
                evidence=(
                    Evidence(fact=f"ports of {network.bridge}", value=str(count), source="rtnetlink"),
                    *(Evidence(fact="State.Error", value=c.state.error, source=f"inspection of {c.name}") for c in hurt[:3]),
                ),
                fixes=(
                    *_without_dead(network.bridge, dead[network.bridge], hurt),
                    Fix(summary=f"Spread the containers of {network.name} over several networks.", runnable=False),
                ),
                hop="target" if hurt else "link",
                explains=tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id in ids),
            )


_TAKE_OFF = (
    'for port in /sys/class/net/{}/brif/*; do [ "$(cat /sys/class/net/"${{port##*/}}"/carrier 2>/dev/null)" = 1 ]'
    ' || ip link set dev "${{port##*/}}" nomaster; done'
)


def _without_dead(bridge: str, count: int, hurt: list[model.Container]) -> Iterator[Fix]:
    """Take ports without carrier off: nobody is behind them (veths that outlived their containers, links never set up)."""
    if not count:
        return
    yield Fix(
        summary=f"Take the {count} port{'s' * (count > 1)} without carrier off {bridge}: nothing is behind them.",
        commands=(
            shell.line(_TAKE_OFF, bridge),
            *((shell.command("docker", "start", *shell.operands(*(c.name for c in hurt))),) if hurt else ()),
        ),
        impacts=("changes-network",),
    )


check = Check(
    cause="bridge-full",
    title="A bridge has no free port",
    subjects=("network",),
    needs=("engine", "host.network", "target"),
    find=find,
    phrases=("exchange full", "failed: exchange full"),
)
