"""acme/no-restart-policy: a published service that stays down after a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, container_subject, shell


def find(case: Case) -> Iterator[Finding]:
    """Running containers that publish a port and would not come back."""
    for facts, container in case.running():
        if container.ports and container.restart_policy == "no":
            yield Finding(
                severity="warning",
                confidence="proven",
                subject=container_subject(facts, container),
                affects=affected(facts, container),
                summary=f"{container.name} publishes a port and will not start again after a reboot.",
                evidence=(Evidence(fact="RestartPolicy", value="no", source=f"inspection of {container.name}"),),
                fixes=(
                    Fix(
                        summary=f"Let {container.name} start with the daemon.",
                        commands=(shell.command("docker", "update", "--restart", "unless-stopped", container.name),),
                    ),
                ),
            )


check = Check(
    cause="acme/no-restart-policy",
    title="A published service stays down after a reboot",
    subjects=("container",),
    find=find,
    phrases=("gone after the monday reboot",),
)
