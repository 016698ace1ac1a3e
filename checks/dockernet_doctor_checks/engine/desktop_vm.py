"""desktop-vm: the daemon runs in a virtual machine; container addresses are not reachable from this host by design."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, Path, daemon_subject

# What `docker info` calls the operating system of such machines.
_MACHINES = ("Docker Desktop", "OrbStack", "Rancher Desktop", "Boot2Docker", "Colima", "Podman machine")


def find(case: Case) -> Iterator[Finding]:
    """Each daemon of a desktop product, with the questions that dial a container's own address."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        product = next(
            (m for m in _MACHINES if engine and m.lower() in f"{engine.operating_system} {engine.name}".lower()), None
        )
        if engine is None or product is None:
            continue
        yield Finding(
            severity="info",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"The daemon runs in the virtual machine of {product}: its containers' addresses cannot be reached from "
                f"{facts.here}."
            ),
            evidence=(Evidence(fact="OperatingSystem", value=engine.operating_system, source="docker info"),),
            fixes=(Fix(summary="Publish the ports that you need, and dial them at localhost.", runnable=False),),
            hop="route",
            explains=tuple(path for path in case.paths if _dials_inside(facts, path)),
        )


def _dials_inside(facts: HostFacts, path: Path) -> bool:
    """Whether the path goes from this host, or another machine, straight to an address of a Docker network."""
    address = path.destination.address
    return (
        path.host == facts.name
        and path.source is None
        and address is not None
        and facts.network_containing(address) is not None
    )


check = Check(
    cause="desktop-vm",
    title="Docker in a virtual machine: the host cannot reach container addresses",
    subjects=("daemon",),
    needs=("engine",),
    find=find,
    phrases=(
        "docker desktop",
        "docker for mac",
        "docker for windows",
        "no docker0 on mac",
        "userland proxy … mkdir /port … input/output error",
        "/forwards/expose/port returned unexpected status",
    ),
)
