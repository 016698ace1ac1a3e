"""kernel-module-missing: a module that Docker needs is absent, often after a kernel upgrade without a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, host_subject

from ._texts import said

TEXTS = (
    r"pair interfaces: operation not supported|failed to create the (?:ip|mac)vlan port: operation not supported"
    r"|error creating vxlan interface: operation not supported|Extension \w+ revision \d+ not supported, missing kernel module"
    r"|can't initialize ip6?tables table|missing kernel module\?|could not fetch rule set generation id.*not supported"
)


def find(case: Case) -> Iterator[Finding]:
    """A container or the daemon that failed with such a text. No /lib/modules alone is nothing."""
    for facts in case.hosts:
        hurt, evidence = said(facts, TEXTS)
        if not evidence:
            continue
        host = facts.host
        kernel = host.kernel if host else ""
        gone = host is not None and host.modules_directory is False
        modules = Evidence(fact=f"/lib/modules/{kernel}", value="absent", source="file system")
        yield Finding(
            severity="error",
            confidence="proven" if gone else "likely",
            subject=host_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"The kernel of {facts.name} ({kernel or 'unknown'}) lacks a module that Docker's networking needs"
                + (", and its modules are not installed, as after an upgrade without a reboot." if gone else ".")
            ),
            evidence=(*evidence, *((modules,) if gone else ())),
            fixes=(
                Fix(summary="Reboot into the installed kernel.", commands=("systemctl reboot",), impacts=("reboots-host",)),
                Fix(
                    summary="Or install the missing modules of the running kernel (kernel-modules-extra, linux-modules-extra).",
                    runnable=False,
                ),
            ),
            explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
        )


check = Check(
    cause="kernel-module-missing",
    title="The kernel lacks a module that Docker needs",
    subjects=("host",),
    find=find,
    phrases=(
        "failed to add the host",
        "pair interfaces: operation not supported",
        "failed to create the ipvlan port: operation not supported",
        "failed to create the macvlan port: operation not supported",
        "error creating vxlan interface: operation not supported",
        "extension addrtype revision 0 not supported, missing kernel module?",
        "missing kernel module",
        "can't initialize iptables table",
        "could not fetch rule set generation id",
        "modprobe: fatal: module not found",
        "stopped working after upgrade",
    ),
)
