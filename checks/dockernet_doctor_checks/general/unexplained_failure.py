"""unexplained-failure: what was seen, with no cause invented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dockernet_doctor.plugin import Case, Check, Finding, probe_evidence, sufferers, unreached, wanted

from ._left import left, sender, subject_of


def remains(case: Case, others: Sequence[Finding]) -> Iterator[Finding]:
    """One finding for each path that is broken and that no other finding explains: hop, probe and answer."""
    for path in left(case, others):
        hop = path.broken
        seen = (hop.observed or hop.predicted) if hop else ""
        fails = unreached(path)
        if path.samples is not None and 0 < path.samples.answered < path.samples.sent:
            fails = f"{sender(path)} reaches {wanted(path)} only {path.samples.answered} times of {path.samples.sent}"
        yield Finding(
            severity="error" if case.asked else "warning",
            confidence="proven" if path.basis == "probed" else "possible",
            subject=subject_of(path),
            summary=f"{fails}: {seen}; nothing that was read explains it.",
            affects=sufferers(path) if path.source else (),
            evidence=probe_evidence(path),
            hop=hop.hop if hop else None,
            explains=(path,),
        )


check = Check(
    cause="unexplained-failure",
    title="Something fails and nothing that was read explains it",
    subjects=(
        "container",
        "destination",
    ),
    podman=True,
    remains=remains,
    phrases=("unexplained failure",),
)
