"""By a port that a Swarm service publishes on every node, the routing mesh; a manager alone knows which.

An address of the node and that port: DOCKER-INGRESS takes it to the node's ingress sandbox, and IPVS in there to a task on any
node, which no host sees.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.snapshot.model import Container, Service


def service_of(facts: HostFacts, name: str, member: Container | None = None) -> Service | None:
    """The Swarm service of this name, or of this task, where this host is a manager."""
    identity = member.swarm.service_id if member and member.swarm else ""
    found = (s for s in facts.snapshot.services if s.id == identity or (not identity and s.name == name.rpartition("/")[2]))
    return next(found, None)


def by_mesh(base: Dial, facts: HostFacts, service: Service, target: Target) -> Iterator[Dial]:
    """Each port of the service that is asked for, by the service's own or the published number."""
    meshed = [(published, port) for published, port, protocol, mode in service.ports
              if mode == "ingress" and protocol == target.protocol and target.port in (None, port, published)]  # fmt: skip
    address = next(iter(facts.uplink_addresses), None)
    tasks = f"{service.running} of {service.desired} tasks run" if service.desired is not None else "a Swarm service"
    more = replace(base, not_applicable=frozenset({"name"}), predicted={"target": f"{service.name}: {tasks}"})
    if not meshed or address is None:
        yield replace(
            more, unknown=("publish", f"no task of {service.name} runs on {facts.here}, and the mesh does not serve it")
        )
    for published, port in meshed if address else ():
        text = f"{published} → {port}/{target.protocol} on every node, by Swarm's routing mesh"
        yield replace(more, address=address, port=published, container_port=port, predicted={**more.predicted, "publish": text})
