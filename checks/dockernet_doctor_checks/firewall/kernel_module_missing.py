"""kernel-module-missing: a module that Docker needs is absent, often after a kernel upgrade without a reboot."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    daemon,
    host_subject,
    listed,
    model,
    remedy,
    shell,
    sufferers,
    witness,
)

from ._texts import said

TEXTS = (
    r"pair interfaces: operation not supported|failed to create the (?:ip|mac)vlan port: operation not supported"
    r"|error creating vxlan interface: operation not supported|Extension \w+ revision \d+ not supported, missing kernel module"
    r"|can't initialize ip6?tables table|missing kernel module\?|could not fetch rule set generation id.*not supported"
)
# socket(2): EPROTONOSUPPORT, of all that is published only for SCTP
SCTP = r"starting userland proxy: .*protocol not supported"


def find(case: Case) -> Iterator[Finding]:
    """A container or the daemon that failed with such a text. No /lib/modules alone is nothing."""
    for facts in case.hosts:
        yield from _without_ipvs(case, facts)
        yield from _without_sctp(case, facts)
        yield from _without_tables(case, facts)
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
                Fix(
                    summary="Reboot into the installed kernel.",
                    commands=(shell.command("systemctl", "reboot"),),
                    impacts=("reboots-host",),
                ),
                Fix(
                    summary="Or install the missing modules of the running kernel (kernel-modules-extra, linux-modules-extra).",
                    runnable=False,
                ),
            ),
            explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
        )


def _without_sctp(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A port published for SCTP, which docker-proxy cannot listen on."""
    hurt, evidence = said(facts, SCTP)
    hurt = tuple(c for c in hurt if any(b.protocol == "sctp" for b in c.bindings))
    if not hurt:
        return
    names = listed(hurt)
    yield Finding(
        severity="error",
        confidence="proven",
        subject=host_subject(facts),
        affects=affected(facts, *hurt),
        summary=f"{names} cannot start: a port is published for SCTP, and the kernel of {facts.name} has no SCTP.",
        evidence=evidence,
        fixes=(
            Fix(
                summary="Load the module sctp, where the kernel has it, and start what failed.",
                commands=(
                    shell.command("modprobe", "sctp"),
                    shell.command("docker", "start", *shell.operands(*(c.name for c in hurt))),
                ),
                impacts=("changes-kernel",),
                runnable=facts.host is not None and facts.host.modules_directory is not False,
            ),
            Fix(summary="Or publish the port for TCP or UDP, where SCTP is not what the service speaks.", runnable=False),
        ),
        explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
    )


def _without_tables(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Containers that keep ending, or ended, since their own iptables found no table."""
    ended = (c for c in facts.containers if facts.keeps_ending(c) or not c.state.running)
    lacking = [(c, *found) for c in ended if (found := witness.lacked_table(c))]
    if not lacking:
        return
    hurt = tuple(container for container, _module, _line in lacking)
    modules = sorted({module for _container, module, _line in lacking})
    names = listed(hurt)
    file = "/etc/modules-load.d/iptables-legacy.conf"
    yield Finding(
        severity="error",
        confidence="likely",
        subject=host_subject(facts),
        affects=affected(facts, *hurt),
        summary=(
            f"{names} cannot set up firewall rules: they use iptables-legacy, and {facts.here} has not loaded the module "
            f"{listed(modules, 'or')}."
        ),
        evidence=tuple(Evidence(fact="log", value=line, source=f"log of {c.name}") for c, _module, line in lacking),
        fixes=(
            Fix(
                summary=f"Load {listed(modules)} on {facts.here}, now and at each boot.",
                commands=(
                    shell.then(shell.command("modprobe", "-a", *modules), shell.write(file, *modules)),
                    shell.command("docker", "restart", *shell.operands(*(c.name for c in hurt))),
                ),
                undo=(shell.command("rm", file),),
                impacts=("changes-kernel", "edits-file", "restarts-container"),
                runnable=facts.host is None or facts.host.modules_directory is not False,
            ),
            Fix(summary="Or use an image, or its setting, that speaks nftables (iptables-nft).", runnable=False),
        ),
        explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
    )


def _without_ipvs(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A question that Swarm's load balancer would have to carry: to a service's virtual address, or by the routing mesh."""
    line = daemon.without_ipvs(facts)
    for service in facts.snapshot.services if line is not None and case.asked else ():
        meshed = {published for published, _port, _protocol, mode in service.ports if mode == "ingress"}
        lost = tuple(
            path
            for path in case.paths
            if path.host == facts.name and path.verdict == "unreachable" and path.destination.address is not None
            if path.destination.address in service.virtual_ips.values()
            or (facts.is_own(path.destination.address) and path.destination.port in meshed and path.target is None)
        )
        if not lost:
            continue
        kernel = facts.host.kernel if facts.host else "unknown"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=sufferers(*lost),
            summary=(
                f"The kernel of {facts.name} ({kernel}) has no IPVS, which Swarm needs to balance {service.name}: its "
                "virtual address and the routing mesh lead nowhere."
            ),
            evidence=daemon.log_evidence(facts, line),
            fixes=_around_ipvs(facts, service, meshed=bool(meshed)),
            hop="answer",
            explains=lost,
        )


def _around_ipvs(facts: HostFacts, service: model.Service, *, meshed: bool) -> tuple[Fix, ...]:
    load = Fix(
        summary="Load the module ip_vs, where the kernel has it, and restart the daemon.",
        commands=(shell.command("modprobe", "ip_vs"), *remedy.restart_daemon(facts).commands),
        impacts=("changes-kernel", *remedy.restart_daemon(facts).impacts),
        runnable=facts.host is not None and facts.host.modules_directory is not False,
    )
    if meshed:
        ports = "publish its ports in mode host, and give it --endpoint-mode dnsrr"
        return (load, Fix(summary=f"Or do without: {ports}.", runnable=False))
    update = ("docker", "service", "update", "--detach", "--endpoint-mode", "dnsrr")
    without = Fix(
        summary=f"Let the name {service.name} lead to its tasks themselves, without IPVS.",
        commands=(shell.command(*update, *shell.operands(service.name)),),
        impacts=("recreates-container",),
    )
    return (without, load)


check = Check(
    cause="kernel-module-missing",
    title="The kernel lacks a module that Docker needs",
    subjects=("host",),
    needs=("engine", "daemon.process", "log", "host.network", "host.files"),
    find=find,
    frequent=True,
    phrases=(
        "failed to add the host",
        "pair interfaces: operation not supported",
        "failed to create the ipvlan port: operation not supported",
        "failed to create the macvlan port: operation not supported",
        "error creating vxlan interface: operation not supported",
        "extension addrtype revision 0 not supported, missing kernel module?",
        "missing kernel module",
        "couldn't load match",
        "rule_append failed (no such file or directory)",
        "can't initialize iptables table",
        "could not fetch rule set generation id",
        "modprobe: fatal: module … not found",
        "modprobe: can't change directory to '/lib/modules'",
        "ipvs is not enabled in your kernel",
        "native loadbalancing will not work",
        "stopped working after upgrade",
    ),
)
