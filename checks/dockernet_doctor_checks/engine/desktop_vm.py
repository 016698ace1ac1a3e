"""desktop-vm: the daemon runs in a virtual machine; containers are out of reach for the computer around it, by design."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, Path, daemon_subject, model


def find(case: Case) -> Iterator[Finding]:
    """Each daemon of a desktop product, with the questions that dial a container's own address."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or not engine.virtual_machine:
            continue
        product = engine.virtual_machine
        where = "a virtual machine (WSL 2)" if product == "WSL 2" else f"the virtual machine of {product}"
        read = (("OperatingSystem", engine.operating_system), ("Name", engine.name), ("KernelVersion", engine.kernel))
        yield Finding(
            severity="info",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"The daemon runs in {where}: container addresses are not reachable from {_outside(engine)}.",
            evidence=tuple(Evidence(fact=fact, value=value, source="docker info") for fact, value in read if value),
            fixes=(Fix(summary="Publish the ports that you need, and dial them at localhost.", runnable=False),),
            hop="route",
            explains=tuple(path for path in case.paths if _dials_inside(facts, path)),
        )


def _outside(engine: model.Engine) -> str:
    """The computer around the virtual machine; Docker Desktop and Rancher Desktop run on Linux too."""
    if engine.on_windows:
        return "Windows"
    return "the Mac" if engine.virtual_machine in ("Colima", "OrbStack") else "the Mac or PC that it runs on"


def _dials_inside(facts: HostFacts, path: Path) -> bool:
    """True if the path goes from this host, or another machine, straight to an address of a Docker network."""
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
        "colima",
        "rancher desktop",
        "userland proxy … mkdir /port … input/output error",
        "/forwards/expose/port returned unexpected status",
    ),
)
