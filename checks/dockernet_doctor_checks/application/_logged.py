"""What a container's own log says of requests that arrived: the network did its work."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Evidence, Finding, Fix, affected, container_subject


def logged(case: Case, phrases: tuple[str, ...], says: str, fix: str) -> Iterator[Finding]:
    """One info for each container whose log holds one of the phrases (lower case); `says` and `fix` follow its name.

    Logs are read of unhealthy and restarting containers and of reverse proxies; in others a scanner leaves such lines.
    """
    for facts in case.hosts:
        for container in facts.containers:
            line = next((text for text in reversed(container.log_tail) if any(p in text.lower() for p in phrases)), None)
            if line is not None:
                yield Finding(
                    severity="info",
                    confidence="proven",
                    subject=container_subject(facts, container),
                    affects=affected(facts, container),
                    summary=f"{container} {says}: the network is fine.",
                    evidence=(Evidence(fact="log", value=line[:300], source=f"log of {container.name}"),),
                    fixes=(Fix(summary=fix.format(container), runnable=False),),
                    hop="answer",
                )
