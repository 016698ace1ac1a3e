"""podman-socket: the API is Podman's; its networks, names and rules are not Docker's."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, daemon_subject


def find(case: Case) -> Iterator[Finding]:
    """Each host whose socket is Podman's."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or not engine.podman:
            continue
        yield Finding(
            severity="info",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"The socket {facts.snapshot.endpoint.removeprefix('unix://')} is Podman's ({engine.version}), not "
                "Docker's: checks of Docker's rules, names and bridges do not apply."
            ),
            evidence=(Evidence(fact="Components", value=f"Podman Engine {engine.version}", source="version of the API"),),
            fixes=(Fix(summary="Ask Docker's socket, if there is one: --host unix:///var/run/docker.sock.", runnable=False),),
        )


check = Check(
    cause="podman-socket",
    title="The API is Podman's, not Docker's",
    subjects=("daemon",),
    needs=("engine",),
    find=find,
    podman=True,
    phrases=("emulate docker cli using podman", "podman.sock"),
)
