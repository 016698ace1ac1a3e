"""lsm-denies-network: SELinux or AppArmor forbids the socket (unseen)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, host_subject, shell

# name_connect, name_bind: SELinux's permissions of sockets; AppArmor names operation and family
NETWORK = (
    r"(?i)avc: +denied +\{[^}]*\b(?:name_connect|name_bind|connectto)\b"
    r"|apparmor=\"DENIED\".*(?:operation=\"(?:create|connect|bind|listen|accept|sendmsg)\".*family=\"(?:inet6?|netlink|packet)\""
    r"|family=\"(?:inet6?|netlink|packet)\")"
)
ALLOWED = "permissive=1"  # SELinux says "denied" of what a permissive domain, or mode, let pass all the same
OURS = r"(?i)container_t|docker|httpd_t"


def find(case: Case) -> Iterator[Finding]:
    """Denials of sockets in the kernel's log that concern containers, or a web server that leads to them."""
    for facts in case.hosts:
        said = (line for line in (facts.host.kernel_log if facts.host else ()) if ALLOWED not in line)
        lines = [line for line in said if re.search(NETWORK, line) and re.search(OURS, line)]
        if lines and facts.host and facts.host.lsm:
            yield _finding(facts, lines)


def _finding(facts: HostFacts, lines: list[str]) -> Finding:
    last = lines[-1]
    command = re.search(r'comm="([^"]+)"', last)
    module = "SELinux" if "avc:" in last else "AppArmor"
    web = "httpd_t" in last
    fixes = (
        Fix(
            summary="Let web servers connect to the network.",
            commands=(shell.command("setsebool", "-P", "httpd_can_network_connect", "1"),),
            impacts=("changes-kernel",),
        )
        if web
        else Fix(summary=f"Allow it in the policy or profile that the {module} line names.", runnable=False),
    )
    return Finding(
        severity="warning",
        confidence="likely",
        subject=host_subject(facts),
        summary=f"{module} on {facts.name} denied {command[1] if command else 'a process'} access to a socket.",
        evidence=tuple(Evidence(fact="denial", value=line, source="kernel log") for line in lines[-3:]),
        fixes=fixes,
    )


check = Check(
    cause="lsm-denies-network",
    title="SELinux or AppArmor forbids the socket",
    subjects=("host",),
    needs=("host.files", "host.log"),
    find=find,
    phrases=(
        "(13: permission denied) while connecting to upstream",
        "socket: permission denied",
        'apparmor="denied"',
        "avc: denied",
    ),
)
