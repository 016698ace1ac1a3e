"""container-paused: a frozen container accepts nothing; connections to it hang (all engines)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, affected, container_subject, obstacles, remedy


def find(case: Case) -> Iterator[Finding]:
    """Every paused container; in a question, the one that is asked for."""
    paused = [(p, o.container) for p, o in case.broken_by(obstacles.Paused)]
    for facts, container in case.containers():
        if not container.frozen:
            continue
        thawed, shown, fix = (
            "until it is unpaused",
            ("State.Paused", "true", f"inspection of {container.name}"),
            remedy.unpause(container),
        )
        if not container.state.paused:
            thawed = "until its cgroup is thawed, though Docker says that it runs"
            shown, fix = ("first process", "frozen", f"/proc/{container.state.pid}/wchan"), remedy.thaw(container)
        fact, value, source = shown
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{container} is {'paused' if container.state.paused else 'frozen'}: it accepts no connection {thawed}.",
            evidence=(Evidence(fact=fact, value=value, source=source),),
            fixes=(fix,),
            hop="target",
            explains=tuple(path for path, found in paused if found is container),
        )


check = Check(
    cause="container-paused",
    title="A paused container accepts nothing",
    subjects=("container",),
    needs=("engine", "target"),
    podman=True,
    find=find,
    phrases=("is paused", "container is paused", "cannot exec in a paused container"),
)
