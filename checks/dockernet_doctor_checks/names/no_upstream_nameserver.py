"""no-upstream-nameserver: the host's resolv.conf is empty or dangling, so Docker has nobody to ask for names outside."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    addressing,
    affected,
    daemon,
    file_subject,
    model,
    names,
    obstacles,
    probe_evidence,
)

from ._words import resolv_evidence

LOGGED = r"DNS resolver has no external nameservers"
SAYS_NONE = "NO EXTERNAL NAMESERVERS"
SAYS_DEFAULT = "USED DEFAULT NAMESERVERS"


def find(case: Case) -> Iterator[Finding]:
    """Containers that were left without servers, or with 8.8.8.8, since the host's file names none."""
    paths: dict[str, list[Path]] = {}
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("no-servers",)):
        facts = case.facts(path.host)
        paths.setdefault(facts.name, []).append(path)
    for facts in case.hosts:
        mine = tuple(paths.get(facts.name, ()))
        hit = [c for c in facts.running if _left_alone(c)] + [p.source for p in mine if p.source is not None]
        host = facts.host.resolv_conf if facts.host else None
        empty = host is not None and not host.nameservers and not names.daemon_dns(facts)
        hit += [c for c in facts.running if empty and not c.dns and c.sandbox is not None and c.network_mode != "none"]
        if hit and (empty or mine or any(_left_alone(c) for c in hit)):
            yield _finding(facts, list({c.id: c for c in hit}.values()), mine)


def _left_alone(container: model.Container) -> bool:
    conf = container.sandbox.resolv_conf if container.sandbox else None
    return conf is not None and any(SAYS_NONE in comment.upper() for comment in conf.comments)


def _finding(facts: HostFacts, hit: list[model.Container], paths: tuple[Path, ...]) -> Finding:
    host = facts.host.resolv_conf if facts.host else None
    missing = host is not None and not host.exists
    target = facts.host.resolv_conf_target if facts.host else ""
    what = "is missing" if missing and not target else f"leads to {target}, which is gone" if missing else "lists no server"
    one = paths[0].source if paths and paths[0].source else hit[0]
    confs = [c.sandbox.resolv_conf for c in hit if c.sandbox and c.sandbox.resolv_conf]
    fallen = [s for conf in confs if any(SAYS_DEFAULT in x.upper() for x in conf.comments) for s in conf.nameservers]
    instead = f"; {one} asks {fallen[0]} instead" if fallen and fallen[0] != names.EMBEDDED else ""
    # a host that nothing leaves is meant to do without names of the world
    offline = not paths and facts.stack is not None and not any(addressing.uplink(facts, family) for family in (4, 6))
    return Finding(
        severity="info" if offline else "error",
        confidence="proven" if host is not None else "likely",
        subject=file_subject(facts, "/etc/resolv.conf"),
        affects=affected(facts, *hit),
        summary=f"Docker's DNS has no server to forward to for {one}: /etc/resolv.conf of {facts.here} {what}{instead}.",
        evidence=(
            *resolv_evidence(facts, None),
            *(Evidence(fact="comment", value=c, source=f"/etc/resolv.conf of {one.name}") for c in _comments(one)),
            *daemon.log_evidence(facts, daemon.logged(facts, LOGGED)),
            *probe_evidence(*paths),
        ),
        fixes=(
            Fix(
                summary=(
                    f"Put a server that answers into /etc/resolv.conf of {facts.here} (or in the daemon's dns option), then "
                    "restart the containers."
                ),
                runnable=False,
            ),
        ),
        hop="name",
        explains=paths,
    )


def _comments(container: model.Container) -> tuple[str, ...]:
    conf = container.sandbox.resolv_conf if container.sandbox else None
    return tuple(c for c in (conf.comments if conf else ()) if SAYS_NONE in c.upper() or SAYS_DEFAULT in c.upper())


check = Check(
    cause="no-upstream-nameserver",
    title="The host has no DNS server configured",
    subjects=("file",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.network", "host.resolver", "sandbox.files"),
    find=find,
    phrases=(
        "no external nameservers defined",
        "dns resolver has no external nameservers",
        "used default nameservers",
        "temporary failure in name resolution",
        "could not resolve host",
    ),
)
