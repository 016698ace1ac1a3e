"""cluster-option-misspelt: `cluster-advertize` and the like, as a flag or in daemon.json (article rule 36)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    daemon,
    daemon_options,
    daemon_subject,
    dockerd,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Each host whose files hold an option that is nearly one of the cluster's."""
    for facts in case.hosts:
        for wrong, right, where, fix in (*_flags(facts), *_keys(facts)):
            down = daemon.is_down(facts)
            ending = "the daemon does not start" if down else "the daemon will not start again"
            yield Finding(
                severity="error" if down else "warning",
                confidence="proven",
                subject=daemon_subject(facts),
                summary=f"{where} on {facts.name} says {wrong} instead of {right}: {ending}.",
                evidence=(
                    Evidence(fact="option", value=wrong, source=where),
                    *daemon.log_evidence(facts, daemon.last_failure(facts) if down else None),
                ),
                fixes=(fix,),
                hop="target",
            )


def _flags(facts: HostFacts) -> Iterator[tuple[str, str, str, Fix]]:
    said = daemon.files_say(facts)
    for problem in said.flags.problems:
        word = problem.word.partition("=")[0]
        if not problem.nearest.startswith("--cluster-"):
            continue
        fix = dockerd.mend_flags(facts)
        if fix is None:
            continue
        yield word, problem.nearest, said.unit.commands[-1].file, fix


def _keys(facts: HostFacts) -> Iterator[tuple[str, str, str, Fix]]:
    said = daemon.files_say(facts)
    if said.json is None:
        return
    wrong = [key for key in daemon_options.unknown_keys(said.json) if key.nearest.startswith("cluster-")]
    if not wrong:
        return
    values = {key.name: key.value for key in said.json.keys}
    fix = remedy.edit_daemon_json(
        facts,
        {key.nearest: values[key.key] for key in wrong},
        remove=[key.key for key in wrong],
        summary=f"Write {daemon.names(key.nearest for key in wrong)}, and start the daemon.",
    )
    for key in wrong:
        yield key.key, key.nearest, f"{said.json_path}:{key.line}", fix


check = Check(
    cause="cluster-option-misspelt",
    title="A cluster option is misspelt",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    phrases=(
        "unknown flag: --cluster-advertize",
        "the following directives don't match any configuration option: cluster-advertize",
    ),
    engines="≤ 20.10",
    article=(36,),
)
