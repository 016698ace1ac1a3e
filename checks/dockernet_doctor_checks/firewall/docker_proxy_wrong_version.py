"""docker-proxy-wrong-version: dockerd starts a docker-proxy of another installation, which does not understand it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    daemon,
    daemon_subject,
    model,
    remedy,
    shell,
)

from ._texts import said

TEXTS = r"failed to start docker-proxy, check that the current version is in your \$PATH"
OPTION = "userland-proxy-path"


def find(case: Case) -> Iterator[Finding]:
    """A container that did not start with that text."""
    for facts in case.hosts:
        hurt, evidence = said(facts, TEXTS)
        if not evidence:
            continue
        engine, setting = facts.snapshot.engine, daemon.option(facts, OPTION)
        proxies = facts.snapshot.daemon.proxies
        found = (Evidence(fact="docker-proxy on the daemon's PATH", value=", ".join(proxies), source="PATH"),)
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"dockerd on {facts.name} {'is given' if setting else 'finds'} a docker-proxy of another version"
                f"{f' ({setting.value})' if setting else f' first ({proxies[0]})' if len(proxies) > 1 else ''}, "
                "so published ports cannot be bound."
            ),
            evidence=(
                *evidence,
                *(daemon.setting_evidence(setting) or (found if proxies else ())),
                Evidence(fact="engine", value=engine.version if engine else "", source="docker version"),
            ),
            fixes=(_fix(facts, hurt),),
            hop="target",
            explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
        )


def _fix(facts: HostFacts, hurt: tuple[model.Container, ...]) -> Fix:
    """Where a docker-proxy stands beside dockerd itself, the two are of one package: name that one to the daemon."""
    state, setting = facts.snapshot.daemon, daemon.option(facts, OPTION)
    beside = str(PurePosixPath(state.executable).with_name("docker-proxy")) if state.executable else ""
    wrong = setting.value if setting else next(iter(state.proxies), "")
    if beside not in state.proxies or beside == wrong or (setting and "daemon.json" not in setting.where):
        return Fix(
            summary="Keep one installation of Docker: remove the other, or put the right docker-proxy first on PATH.",
            runnable=False,
        )
    fix = remedy.edit_daemon_json(facts, {OPTION: beside}, summary=f"Make dockerd use the docker-proxy beside it, {beside}.")
    return fix.followed_by(shell.command("docker", "start", *shell.operands(*(c.name for c in hurt))))


check = Check(
    cause="docker-proxy-wrong-version",
    title="docker-proxy has another version than the daemon",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=("failed to start docker-proxy, check that the current version is in your $path",),
    engines="≥ 28",
)
