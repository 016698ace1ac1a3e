"""bridge-skips-container: the bridge delivers frames for a container to another port, or to none."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    addressing,
    affected,
    container_subject,
    model,
    probe_evidence,
    shell,
)

from ._ends import Broken, broken_ends


def find(case: Case) -> Iterator[Finding]:
    """Entries of forwarding tables and settings of bridge ports that keep running containers' frames from them."""
    return map(_finding, broken_ends(case, ("misdirected", "unlearned", "unasked")))


def _finding(broken: Broken) -> Finding:
    container, network, problem = broken.container, broken.network, broken.problem
    bridge, entry = network.bridge or "", problem.entry
    seen: tuple[tuple[str, str], ...]
    if entry is not None:
        where = "the host itself" if entry.port == bridge else entry.port
        why = f"an entry of its forwarding table sends them to {where}, not to {problem.name}"
        seen = ((f"forwarding entry of {bridge}", f"{entry.mac} dev {entry.port} {entry.state}"),)
    elif problem.problem == "unlearned":
        why = f"its port {problem.name} neither learns who is behind it nor takes frames for unknown addresses"
        seen = ((f"learning of {problem.name}", "off"), (f"flood of {problem.name}", "off"))
    else:
        why = f"its port {problem.name} gets no broadcasts, so ARP requests for it are lost"
        seen = ((f"bcast_flood of {problem.name}", "off"),)
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(broken.facts, container),
        affects=affected(broken.facts, container),
        summary=f"The bridge {bridge} ({network.name}) does not deliver frames to {container}: {why}.",
        evidence=(
            *(Evidence(fact=fact, value=value, source="rtnetlink on the host") for fact, value in seen),
            *probe_evidence(*broken.paths),
        ),
        fixes=(_fix(broken, entry),),
        hop="link",
        explains=broken.paths,
    )


def _fix(broken: Broken, entry: model.ForwardingEntry | None) -> Fix:
    name, bridge = broken.problem.name, broken.network.bridge
    if entry is not None:
        how = ("dev", entry.port, "self" if entry.port == bridge else "master")
        kind = "static" if entry.state == "static" else "local"
        return Fix(
            summary=f"Delete the forwarding entry for {entry.mac}.",
            commands=(shell.command("bridge", "fdb", "del", entry.mac, *how),),
            undo=(shell.command("bridge", "fdb", "replace", entry.mac, *how, kind),),
            impacts=("changes-network",),
            lasts="until-reboot",
        )
    keys = ("learning", "flood") if broken.problem.problem == "unlearned" else ("bcast_flood",)
    on, off = (tuple(word for key in keys for word in (key, state)) for state in ("on", "off"))
    port = ("link", "set", name, "type", "bridge_slave")
    deliver = addressing.ip(*port, *on, back=(*port, *off, "fdb_flush"))  # with what was learnt meanwhile
    return addressing.networking(deliver, summary=f"Let {bridge} deliver to {name} again.", lasts="until-restart")


check = Check(
    cause="bridge-skips-container",
    title="A network's bridge does not deliver to a container",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "link"),
    find=find,
    phrases=("no route to host", "destination host unreachable"),
)
