"""config-file-no-newline: a file of the daemon's service lacks its last newline (article rule 42).

systemd 252 reads such a line; what still breaks is text that is appended later and joins it, and older readers.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    daemon_options,
    file_subject,
    model,
    remedy,
    shell,
)

_KINDS = ("unit", "drop-in", "socket", "environment", "defaults")


def find(case: Case) -> Iterator[Finding]:
    """Each unit, drop-in, defaults or environment file whose last byte is no newline."""
    for facts in case.hosts:
        for file in facts.snapshot.daemon.files:
            if file.kind in _KINDS and file.exists and file.readable and file.text.strip() and not file.final_newline:
                last = file.text.rstrip("\n").split("\n")[-1]
                yield Finding(
                    severity="warning",
                    confidence="proven",
                    subject=file_subject(facts, file.path),
                    affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
                    summary=f"{file.path} does not end with a newline: what is appended to it joins its last line.",
                    evidence=(Evidence(fact="last line", value=last[:200], source=file.path),),
                    fixes=(_fix(facts, file),),
                )


def _fix(facts: HostFacts, file: model.TextFile) -> Fix:
    commands = [shell.line("printf '\\n' >> {}", shell.changeable(file.path))]
    if daemon_options.differences(facts.snapshot.daemon):
        return Fix(
            summary="Add the newline, and restart the daemon so that the file takes effect.",
            commands=(*commands, *remedy.restart_daemon(facts, reload=True).commands),
            impacts=("edits-file", *remedy.restart_daemon(facts).impacts),
        )
    return Fix(summary="Add the newline.", commands=tuple(commands), impacts=("edits-file",))


check = Check(
    cause="config-file-no-newline",
    title="A file of the daemon's service does not end with a newline",
    subjects=("file",),
    needs=("daemon.process", "daemon.files"),
    find=find,
    phrases=("no newline at end of file",),
    article=(42,),
)
