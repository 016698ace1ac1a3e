"""daemon-permission-denied: this user may not open the daemon's socket, or ask what runs there."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, daemon_subject, model, remedy, shell


def find(case: Case) -> Iterator[Finding]:
    """Each host whose socket refused this user."""
    for facts in case.hosts:
        problem = facts.snapshot.problem
        if facts.snapshot.engine is not None or problem is None or problem.kind != "permission":
            continue
        if problem.detail.startswith("HTTP 403"):
            yield _forbidden(facts, problem)
            continue
        group = facts.snapshot.daemon.socket_group
        owner = f"root and the group {group}" if group and group != "root" else "root only"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=f"This user may not open {facts.snapshot.endpoint}: only {owner} may.",
            evidence=(
                Evidence(fact=facts.snapshot.endpoint, value=problem.detail, source="connect"),
                *((Evidence(fact="group of the socket", value=group, source="stat"),) if group else ()),
            ),
            fixes=_fixes(facts, group, facts.snapshot.endpoint.removeprefix("unix://")),
            hop="target",
        )


def _forbidden(facts: HostFacts, problem: model.EngineProblem) -> Finding:
    """The connection was let in, the request was not: an authorization plugin, or a proxy before the socket."""
    where = facts.snapshot.endpoint
    return Finding(
        severity="error",
        confidence="proven",
        subject=daemon_subject(facts),
        summary=f"What listens at {where} refuses to say what runs there: {problem.detail}.",
        evidence=(Evidence(fact=where, value=problem.detail, source="API"),),
        fixes=(
            Fix(
                summary="Let the proxy or authorization plugin before the daemon allow GET of /version, /info, /containers and "
                "/networks, or ask the daemon's own socket.",
                runnable=False,
            ),
        ),
        hop="target",
    )


def _fixes(facts: HostFacts, group: str, path: str) -> tuple[Fix, ...]:
    if group and group != "root":
        join = shell.line('sudo usermod -aG {} "$(id -un)"', group)
        again = f"Join the group {group} and log in again; its members are as powerful as root on {facts.here}."
    else:
        join = shell.line(
            'sudo groupadd -f docker && sudo usermod -aG docker "$(id -un)" && sudo {}',
            remedy.service_command(facts, "restart"),
        )
        again = "Create the group docker, join it, restart the daemon and log in again."
    return (
        Fix(summary=again, commands=(join,), runnable=False),
        Fix(
            summary="Ask as root.",
            commands=(shell.command("sudo", "docker", "-H", f"unix://{path}", "version"),),
            lasts="until-restart",
        ),
    )


check = Check(
    cause="daemon-permission-denied",
    title="No permission for the Docker socket",
    subjects=("daemon",),
    needs=("engine", "daemon.files"),
    find=find,
    phrases=(
        "connection aborted … permissionerror(13",
        "permission denied while trying to connect to the docker daemon socket",
        "got permission denied while trying to connect",
        "docker.sock: connect: permission denied",
        "permission denied while trying to connect to the docker api",
        "error while fetching server api version … permission denied",
    ),
)
