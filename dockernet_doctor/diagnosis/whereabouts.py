"""Which host is meant: checks and hops say "this host" of the one that they look at, and where several are read it is named."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from dockernet_doctor.regex import regex

from .finding import Finding, Fix

_THIS_HOST = regex(r"\b[Tt]his host\b")


def named(text: str, host: str) -> str:
    """The text with the host's name in the place of "this host"; as it is for no name."""
    return _THIS_HOST.sub(lambda _: host, text) if host else text


def with_names(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings that name their hosts: the subject's, and in a fix the one that it is to be made on."""
    return tuple(_with_name(finding, finding.subject.host) for finding in findings)


def _with_name(finding: Finding, host: str) -> Finding:
    summary = named(finding.summary, host)
    told = not host or re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", summary)
    return replace(
        finding,
        summary=summary if told else f"{host}: {summary}",
        evidence=tuple(replace(e, fact=named(e.fact, host)) for e in finding.evidence),
        fixes=tuple(_fix(fix, host) for fix in finding.fixes),
    )


def _fix(fix: Fix, host: str) -> Fix:
    return replace(fix, summary=named(fix.summary, fix.host or host))
