"""wsl2-mirrored: WSL2 in mirrored mode, where Windows and WSL reach a published port by different ways."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, host_subject

LOOPBACK = "loopback0"  # moby, bridge/internal/nftabler/wsl2.go and iptabler: how the engine itself tells


def find(case: Case) -> Iterator[Finding]:
    """Hosts with Microsoft's kernel and the interface by which mirrored mode brings in what Windows sends to 127.0.0.1."""
    for facts in case.hosts:
        host = facts.host
        if host is None or "microsoft" not in host.kernel.lower() or all(li.name != LOOPBACK for li in host.stack.links):
            continue
        yield Finding(
            severity="info",
            confidence="proven",
            subject=host_subject(facts),
            summary=(
                f"{facts.name} is WSL2 in mirrored mode: Windows reaches published ports at 127.0.0.1 by {LOOPBACK}, other "
                "machines only as far as the Windows firewall lets them in."
            ),
            evidence=(
                Evidence(fact="kernel", value=host.kernel, source="uname"),
                Evidence(fact="interface", value=LOOPBACK, source="rtnetlink on the host"),
            ),
            fixes=(
                Fix(
                    summary="For other machines: open the port in the Windows firewall (Hyper-V firewall), or use NAT mode.",
                    runnable=False,
                ),
            ),
        )


check = Check(
    cause="wsl2-mirrored",
    title="WSL2 in mirrored mode",
    subjects=("host",),
    needs=("host.network",),
    find=find,
    phrases=("networkingmode=mirrored", "wsl2 mirrored", "wsl mirrored mode docker port"),
)
