"""The picture of networks, containers and published ports, from a case to each of its formats.

`map_model` has its records, `map_boxes` what is drawn of them; `map_text`, `map_svg` and `map_graph` write.
"""

from __future__ import annotations

from collections.abc import Sequence

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.moments import now
from dockernet_doctor.snapshot.model import Container, Network

from .hosts import report_hosts
from .map_model import Map, MapAttachment, MapContainer, MapFinding, MapNetwork, MapPort
from .model import TOOL


def build(case: Case, findings: Sequence[Finding] = ()) -> Map:
    """The map of these hosts; where the case names containers, of these, their networks and those on them."""
    shown = {facts.name: _shown(case, facts) for facts in case.hosts}
    return Map(
        schema="dockernet-doctor/map/1",
        tool=TOOL,
        taken_at=now(),
        hosts=report_hosts(case),
        complete=all(facts.snapshot.engine for facts in case.hosts),
        networks=tuple(
            _network(facts, n) for facts in case.hosts for n in facts.snapshot.networks if n.name in shown[facts.name][0]
        ),
        containers=tuple(_container(facts, c) for facts, c in case.containers() if c.name in shown[facts.name][1]),
        findings=tuple(
            _finding(case.facts(f.subject.host), f)
            for f in findings
            if f.severity != "info" and f.subject.host in shown and _is_shown(f, *shown[f.subject.host])
        ),
    )


def _shown(case: Case, facts: HostFacts) -> tuple[set[str], set[str]]:
    """The networks and containers of a host that are drawn, by their names."""
    networks, containers = facts.snapshot.networks, facts.snapshot.containers
    if not case.subjects:
        return {network.name for network in networks}, {container.name for container in containers}
    meant = [container for container in containers if case.is_subject(container.name, facts.name)]
    on = {endpoint.network for container in meant for endpoint in container.endpoints}
    beside = {c.name for c in containers if any(endpoint.network in on for endpoint in c.endpoints)}
    return on, beside | {container.name for container in meant}


def _is_shown(finding: Finding, networks: set[str], containers: set[str]) -> bool:
    container, network = _place(finding)
    return (not container or container in containers) and (not network or network in networks)


def _place(finding: Finding) -> tuple[str, str]:
    """The container or the network that a finding stands at; ("", "") for the host."""
    subject = finding.subject
    if subject.kind == "container":
        return subject.name, ""
    if subject.kind == "port":
        return subject.name.rpartition(":")[0], ""
    if subject.kind == "network":
        return "", subject.name
    if subject.kind == "service" and finding.affects:
        return finding.affects[0].name, ""
    return "", ""


def _finding(facts: HostFacts, finding: Finding) -> MapFinding:
    container, network = _place(finding)
    return MapFinding(
        host=facts.name,
        container=container,
        network=network,
        id=finding.id,
        cause=finding.cause,
        severity=finding.severity,
        summary=finding.summary,
    )


def render(picture: Map, name: str) -> str:
    """The map in the format `text`, `json`, `mermaid`, `dot` or `svg`."""
    match name:
        case "text":
            from . import map_text

            return map_text.text(picture)
        case "mermaid" | "dot":
            from . import map_graph

            return map_graph.mermaid(picture) if name == "mermaid" else map_graph.dot(picture)
        case "svg":
            from . import map_svg

            return map_svg.svg(picture)
    from . import json

    return json.render(picture)


def _network(facts: HostFacts, network: Network) -> MapNetwork:
    return MapNetwork(
        host=facts.name,
        name=network.name,
        driver=network.driver,
        scope=network.scope,
        internal=network.internal,
        subnets=tuple(subnet.subnet for subnet in network.subnets),
    )


def _container(facts: HostFacts, container: Container) -> MapContainer:
    mode = container.network_mode
    if mode.startswith("container:"):
        owner = facts.namespace_owner(container)
        mode = f"container:{owner.name if owner else 'a container that is gone'}"
    return MapContainer(
        host=facts.name,
        name=container.name,
        state="paused" if container.state.paused else container.state.status,
        mode=mode,
        project=container.compose.project if container.compose else "",
        attachments=tuple(MapAttachment(network=e.network, ipv4=e.ipv4, ipv6=e.ipv6) for e in container.endpoints),
        ports=tuple(
            MapPort(host_ip=p.host_ip, host_port=p.host_port, port=p.port, protocol=p.protocol) for p in container.ports
        ),
    )
