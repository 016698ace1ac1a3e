"""Ways to undo a rule or let a packet pass, and who would put the rule back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from dockernet_doctor.netfilter.edit import (
    RuleEdit,
    Traffic,
    acceptance,
    accepting,
    accepting_by_ufw,
    by_firewalld,
    by_ufw,
    removal,
)
from dockernet_doctor.netfilter.model import Chain, Rule, jumped_to

if TYPE_CHECKING:
    from dockernet_doctor.netfilter.model import Backend, Packet
    from dockernet_doctor.shell import Command

Lasts = Literal["until-restart", "until-reboot", "permanent"]

OWNERS = (
    (r"ufw6?-\S+", "ufw"),
    (r"(?:IN|FWD|FWDI|FWDO|PRE|POST)_\S+", "firewalld"),
    (r"(?:INPUT|FORWARD|OUTPUT)_(?:ZONES|direct|POLICIES|IN_|OUT_)\S*", "firewalld"),
    (r"LOCAL(?:INPUT|OUTPUT)|(?:ALLOW|DENY|GALLOW|GDENY|LOGDROP)(?:IN|OUT)|INVDROP", "csf"),
    (r"(?:f2b|fail2ban)-\S+", "fail2ban"),
    (r"(?:KUBE|CNI|cali|FLANNEL)-\S+", "kubernetes"),
    (r"LIBVIRT_\S+", "libvirt"),
    (r"ts-\S+", "tailscale"),
    (r"NETAVARK\S*", "podman"),
    (r"DOCKER(?!-USER)\S*", "docker"),
)
"""Who makes chains of these names."""
NATIVE_OWNERS = {
    "firewalld": "firewalld",
    "fail2ban": "fail2ban",
    "f2b-table": "fail2ban",
    "crowdsec": "crowdsec",
    "crowdsec6": "crowdsec",
    "libvirt_network": "libvirt",
    "docker-bridges": "docker",
    "netavark": "podman",
}


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way to undo a rule or a policy: edits, to be made in order."""

    summary: str
    edits: tuple[RuleEdit, ...]
    lasts: Lasts
    also: str = ""
    """What else it opens, beside the packet that it is for."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Complete commands, to be run in order."""
        return tuple(command for edit in self.edits for command in edit.commands)


def owner(of: Rule | Chain) -> str | None:
    """Who manages the rule, told by chain and table: ufw, firewalld, csf, docker, …; None: somebody by hand."""
    if of.backend == "nft":
        return NATIVE_OWNERS.get(of.table)
    return next((name for pattern, name in OWNERS if re.fullmatch(pattern, _chain_name(of))), None)


def undo(
    rule: Rule, packet: Packet | None = None, *, chain: Chain | None = None, default: Backend = "iptables-nft"
) -> list[Way]:
    """Ways to undo the rule, the best first.

    `packet`: what it should let pass, as that hook sees it (after translation). `chain`: where the rule stands, so that
    copies of it go too. `default`: the backend of the program that is called just `iptables` on this host.
    """
    deletion = _deletion(rule, packet, chain, default)
    if packet is None:
        return [deletion]
    managed = _managed(rule, packet, default)
    if managed is not None:
        return [managed, deletion]
    narrow = allow(rule, packet, default=default)
    return [narrow, deletion] if _keeps_others_out(rule, chain) and not packet.reply else [deletion, narrow]


def undo_policy(chain: Chain, packet: Packet, *, docker_user: bool = True, default: Backend = "iptables-nft") -> list[Way]:
    """Ways to let `packet` pass a base chain whose policy drops it, the narrow one first.

    `docker_user`: DOCKER-USER exists and FORWARD jumps to it.
    """
    narrow = allow(chain, packet, docker_user=docker_user, default=default)
    managed = _managed(chain, packet, default)
    of_ufw = chain.table == "filter" and _is_called_from(chain)
    wide = Way(
        summary=f"let {chain.name} accept what no rule decides",
        edits=(accepting_by_ufw(chain, default) if of_ufw else accepting(chain, default),),
        lasts="permanent" if of_ufw else "until-reboot",
        also=f"{chain.name} to all that no rule of it stops",
    )
    return [*([managed] if managed else []), narrow, wide]


def allow(at: Rule | Chain, packet: Packet, *, docker_user: bool | None = None, default: Backend = "iptables-nft") -> Way:
    """An accept for this packet and its answers, ahead of all that decides at that chain."""
    chain = _chain_name(at)
    if docker_user is None:
        docker_user = chain == "DOCKER-USER"
    elsewhere = docker_user and chain in ("FORWARD", "DOCKER-USER") and at.table == "filter" and at.backend != "nft"
    target = "DOCKER-USER" if elsewhere else chain
    traffic = Traffic.of(packet, ports_of_bridge=at.family == "bridge", tracked=at.table != "raw")
    edits = [acceptance(at, target, traffic, default)]
    if traffic.out_interface and traffic.in_interface and traffic.in_interface != traffic.out_interface and not packet.reply:
        back = Traffic(
            family=packet.family, in_interface=traffic.out_interface, out_interface=traffic.in_interface, answers=True
        )
        edits.append(acceptance(at, target, back, default))
    wide = traffic.dport is None and traffic.sport is None and packet.dport is not None
    also = f"{target} to all packets from {traffic.in_interface} to {traffic.out_interface}" if wide else ""
    return Way(summary=f"accept {_spoken(packet)} in {target}", edits=tuple(edits), lasts="until-reboot", also=also)


def _keeps_others_out(rule: Rule, chain: Chain | None) -> bool:
    """True if much more than this packet would be let in without the rule.

    It drops all but what is named, in it or in accepts before it; or whatever other chains jump here with.
    """
    if rule.table == "nat" or (chain is not None and chain.type == "nat"):
        return False  # an accept there is the end of translation, Docker's too
    if any(term.negated and (term.field == "source" or term.set_name) for term in rule.terms):
        return True
    if chain is None or any(term.set_name or term.field in _SELECTIVE for term in rule.terms):
        return False
    before = chain.rules[: rule.position - 1]
    jumped_to = chain.hook is None and chain.name != "DOCKER-USER"
    return jumped_to or any(r.target.verdict in ("accept", "return") and not _lets_answers_in(r) for r in before)


_SELECTIVE = frozenset({"source", "destination", "sport", "dport", "port"}) | {
    f"original-{field}" for field in ("source", "destination", "sport", "dport")
}


def _lets_answers_in(rule: Rule) -> bool:
    return any("ESTABLISHED" in term.values for term in rule.asks("state"))


def _chain_name(of: Rule | Chain) -> str:
    return of.chain if isinstance(of, Rule) else of.name


def _deletion(rule: Rule, packet: Packet | None, chain: Chain | None, default: Backend) -> Way:
    edit = removal(rule, chain, default)
    also = "" if packet is None or _is_about(rule, packet) else f"{rule.chain} to all else that the rule stops"
    return Way(summary=f"remove the rule from {rule.chain}", edits=(edit,), lasts="until-reboot", also=also)


def _is_about(rule: Rule, packet: Packet) -> bool:
    """True if the rule names one end and the port of this packet, and so stops little else; one of nat stops nothing."""
    port = packet.sport if packet.reply else packet.dport
    end = packet.source if packet.reply else packet.destination
    named = {value for term in rule.terms if not term.negated for value in map(str, term.values)}
    return rule.table == "nat" or (str(port) in named and any(value.partition("/")[0] == end for value in named))


def _spoken(packet: Packet) -> str:
    if packet.destination.endswith("/0") and packet.out_interface is None:
        return {"icmpv6": "ICMPv6"}.get(packet.protocol, packet.protocol)
    if packet.destination.endswith("/0"):
        return f"all that leaves by {packet.out_interface}"
    port = f" port {packet.dport}/{packet.protocol}" if packet.dport is not None else f" {packet.protocol}"
    return f"{packet.destination}{port}"


# --- the words of those who manage rules


def _managed(of: Rule | Chain, packet: Packet, default: Backend) -> Way | None:
    manager = owner(of)
    if packet.reply:
        return None
    traffic = Traffic.of(packet)
    if manager == "ufw" or (isinstance(of, Chain) and _is_called_from(of)):
        edit: RuleEdit = by_ufw(of, traffic, default)
        return Way(summary=f"let ufw allow {_spoken(packet)}", edits=(edit,), lasts="permanent")
    if manager == "firewalld" and packet.out_interface is None and packet.dport is not None:
        edit = by_firewalld(of, traffic, default)
        summary = f"let firewalld accept {_spoken(packet)} on {packet.in_interface or 'lo'}"
        return Way(summary=summary, edits=(edit,), lasts="permanent")
    return None


def _is_called_from(chain: Chain) -> bool:
    """True if ufw's own chains are: then the chain's policy is ufw's, too: "Default: deny (incoming)"."""
    return any(target.startswith(("ufw-", "ufw6-")) for target in jumped_to(chain))
