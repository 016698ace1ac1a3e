"""ipv6-needs-docker-proxy: published on an IPv6 address where only docker-proxy would take it, and docker-proxy is off."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    daemon,
    dockerd,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths by IPv6 to a port whose daemon runs with `userland-proxy: false` and does not translate it."""
    for path, obstacle in case.broken_by(obstacles.NotTranslated):
        if obstacle.hint == "proxy-off":
            why = (
                "the kernel sends nothing from ::1 onto a bridge" if obstacle.dnat else "Docker creates no rules for IPv6 here"
            )
            yield from _finding(case, path, obstacle.container, obstacle.published, why)
    for path, missed in case.broken_by(obstacles.PublishedInVain):
        networks = [n for n in case.facts(path.host).networks_of(missed.container) if n.driver == "bridge" and not n.internal]
        if networks and not any(network.ipv6 for network in networks):
            why = f"the network {networks[0].name} has no IPv6"
            yield from _finding(case, path, missed.container, missed, why)


def _finding(
    case: Case,
    path: Path,
    container: model.Container,
    port: model.PublishedPort | obstacles.PublishedInVain,
    why: str,
) -> Iterator[Finding]:
    facts = case.facts(path.host)
    off = daemon.without_proxy(facts)
    asked = [b for b in container.bindings if (b.port, b.protocol) == (port.port, port.protocol) and b.host_ip != "0.0.0.0"]
    by_address = [b for b in asked if ":" in b.host_ip]
    if off is None or not asked or (isinstance(port, obstacles.PublishedInVain) and by_address != asked):
        return
    if isinstance(port, obstacles.PublishedInVain):
        what = f"is not published, though {remedy.publish_flag(asked[0])} was asked for"
    else:
        what = f"cannot be reached from {who(path)} at [{path.destination.address}]"
    yield Finding(
        severity="error" if by_address else "info",  # who publishes everywhere may well have IPv4 in mind
        confidence="proven" if path.basis == "probed" else "likely",
        subject=port_subject(facts, container, port.port, port.protocol),
        affects=affected(facts, container),
        summary=f"{container}:{port.port} {what}: only docker-proxy could take it there, and it is off; {why}.",
        evidence=(
            *daemon.setting_evidence(off),
            *(
                Evidence(fact="published", value=remedy.publish_flag(binding), source=f"inspection of {container.name}")
                for binding in asked
            ),
            *probe_evidence(path),
        ),
        fixes=(
            dockerd.set_option(
                facts, off.key, None, summary=f"Remove the option {off.key}, so that docker-proxy runs, and restart Docker."
            ),
            *_by_ipv4(facts, container, by_address),
        ),
        hop=path.broken.hop if path.broken else None,
        explains=(path,),
    )


def _by_ipv4(facts: HostFacts, container: model.Container, asked: list[model.PortBinding]) -> tuple[Fix, ...]:
    """Where only an IPv6 address was asked for: the IPv4 one that stands for it."""
    add = [replace(b, host_ip="127.0.0.1" if b.host_ip == "::1" else "0.0.0.0") for b in asked]
    return remedy.republish(facts, container, add=add, remove=asked) if asked else ()


check = Check(
    cause="ipv6-needs-docker-proxy",
    title="The port is published on IPv6, which needs docker-proxy, but that is off",
    subjects=("port",),
    needs=("engine", "daemon.process", "daemon.files", "mapping", "host.network"),
    find=find,
    symptom_of=("docker-rules-missing",),
    phrases=("published on ipv6 with userland-proxy false", "works on 127.0.0.1 but not on ::1"),
)
