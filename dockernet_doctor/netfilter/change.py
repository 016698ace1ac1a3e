"""The commands that undo a rule or let a packet pass, and who would put the rule back."""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING, Literal

import msgspec

from dockernet_doctor.netfilter.iptables_syntax import words
from dockernet_doctor.netfilter.model import Chain, Rule
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, glued, line, nft, output, shown, unsayable
from dockernet_doctor.snapshot.secrets import MASK

if TYPE_CHECKING:
    from dockernet_doctor.netfilter.model import Backend, Packet

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


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A way to undo a rule or a policy: complete commands, to be run in order."""

    summary: str
    commands: tuple[Command, ...]
    lasts: Lasts


def owner(of: Rule | Chain) -> str | None:
    """Who manages the rule, told by chain and table: ufw, firewalld, csf, docker, …; None: somebody by hand."""
    if of.backend == "nft":
        return NATIVE_OWNERS.get(of.table)
    return next((name for pattern, name in OWNERS if re.fullmatch(pattern, _chain_name(of))), None)


def undo(
    rule: Rule, packet: Packet | None = None, *, chain: Chain | None = None, default: Backend = "iptables-nft"
) -> list[Change]:
    """Ways to undo the rule, the best first.

    `packet`: what it should let pass, as that hook sees it (after translation). `chain`: where the rule stands, so that
    copies of it go too. `default`: the backend of the program that is called just `iptables` on this host.
    """
    deletion = _deletion(rule, chain, default)
    if packet is None:
        return [deletion]
    managed = _managed(rule, packet)
    if managed is not None:
        return [managed, deletion]
    narrow = allow(rule, packet, default=default)
    return [narrow, deletion] if _keeps_others_out(rule, chain) and not packet.reply else [deletion, narrow]


def undo_policy(chain: Chain, packet: Packet, *, docker_user: bool = True, default: Backend = "iptables-nft") -> list[Change]:
    """Ways to let `packet` pass a base chain whose policy drops it, the narrow one first.

    `docker_user`: DOCKER-USER exists and FORWARD jumps to it.
    """
    narrow = allow(chain, packet, docker_user=docker_user, default=default)
    managed = _managed(chain, packet)
    if chain.backend == "nft":
        accepting = command("nft", nft("chain {} {} {} {{ policy accept; }}", chain.family, chain.table, chain.name))
    else:
        accepting = command(*_program(chain, default), "-P", _chain_word(chain.name), "ACCEPT")
    wide = Change(summary=f"let {chain.name} accept what no rule decides", commands=(accepting,), lasts="until-reboot")
    return [*([managed] if managed else []), narrow, wide]


def allow(at: Rule | Chain, packet: Packet, *, docker_user: bool | None = None, default: Backend = "iptables-nft") -> Change:
    """An accept for this packet and its answers, ahead of all that decides at that chain."""
    chain = _chain_name(at)
    if at.backend == "nft":
        return _allow_native(at, chain, packet)
    if docker_user is None:
        docker_user = chain == "DOCKER-USER"
    target = "DOCKER-USER" if docker_user and chain in ("FORWARD", "DOCKER-USER") and at.table == "filter" else chain
    program = _program(at, default)
    commands = [command(*program, "-I", _chain_word(target), *_iptables_match(packet), "-j", "ACCEPT")]
    if packet.out_interface and packet.in_interface and packet.in_interface != packet.out_interface:
        back = ("-i", packet.out_interface, "-o", packet.in_interface)
        answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
        commands.append(command(*program, "-I", _chain_word(target), *back, *answers))
    return Change(summary=f"accept {_spoken(packet)} in {target}", commands=tuple(commands), lasts="until-reboot")


def _keeps_others_out(rule: Rule, chain: Chain | None) -> bool:
    """Whether much more than this packet would be let in without the rule.

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


def _deletion(rule: Rule, chain: Chain | None, default: Backend) -> Change:
    if rule.backend == "nft":
        place = (nft("{}", name) for name in (rule.family, rule.table, rule.chain))
        commands: tuple[Command, ...] = (command("nft", "delete", "rule", *place, "handle", str(rule.handle)),)
    else:
        deletion = _deletion_by_text(rule, [word for word, _ in [*words(rule.line)][2:]], default)
        copies = sum(other.line == rule.line for other in chain.rules) if chain else 1
        commands = (deletion,) * max(copies, 1)
    return Change(summary=f"remove the rule from {rule.chain}", commands=commands, lasts="until-reboot")


def _deletion_by_text(rule: Rule, spelt: list[str], default: Backend) -> Command:
    program = _program(rule, default)
    if strange := _strange(spelt):
        return unsayable(f"iptables would take {shown(strange)} of that rule for an option of its own")
    listing = command(*program, "-S", _chain_word(rule.chain))
    number = None
    if MASK in rule.line:
        number = line("{} | grep ^-A | grep -nx -m 1 -e {} | cut -d: -f1", listing, _like(rule.line))
    elif rule.backend == "iptables-nft" and rule.asks(*_NOT_BY_TEXT):
        number = line("{} | grep ^-A | grep -nxF -m 1 -e {} | cut -d: -f1", listing, rule.line)
    if number is not None:
        return command(*program, "-D", _chain_word(rule.chain), output(number))
    return command(*program, "-D", _chain_word(rule.chain), *spelt)


def _strange(spelt: list[str]) -> str | None:
    """A word that no listing has among the matches of a rule: --modprobe, however short, runs a program, joined or not."""
    before = ""
    for word in spelt:
        if before == "--comment":
            before = ""
        elif _OPTION.match(word):
            return word
        else:
            before = word
    return None


_OPTION = regex(r"--mo(d(p(r(o(be?)?)?)?)?)?(=|$)|-(?![sdiopmjgfc]$|-|[0-9]|$)")


def _chain_word(name: str) -> str:
    """A chain for iptables, which refuses to make one of which it takes the name for an option or a negation."""
    return unsayable(f"iptables has no way to write the name {shown(name)}") if name.startswith(("-", "!")) else name


_NOT_BY_TEXT = ("connlimit", "recent")
"""Matches of which iptables-nft (1.8.9) does not recognise what it printed itself: such a rule goes by its number."""


def _like(line: str) -> str:
    """A basic regular expression for the rule as it is: where a secret is masked, within one word, anything may stand."""
    pattern, in_quotes = "", False
    for before in line.split(MASK)[:-1]:
        in_quotes ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        pattern += re.sub(r"[\\.*\[\]^$]", r"\\\g<0>", before) + ('[^"]*' if in_quotes else '[^ "]*')
    return pattern + re.sub(r"[\\.*\[\]^$]", r"\\\g<0>", line.rsplit(MASK, maxsplit=1)[-1])


def _program(of: Rule | Chain, default: Backend) -> tuple[str, ...]:
    """The words that begin a command about the rule or chain."""
    name = "ip6tables" if of.family == "ip6" else "iptables"
    program = name if of.backend == default else f"{name}-{of.backend.removeprefix('iptables-')}"
    return (program,) if of.table == "filter" else (program, "-t", of.table)


def _iptables_match(packet: Packet) -> list[str]:
    if packet.in_interface and packet.in_interface == packet.out_interface:
        return ["-i", packet.in_interface, "-o", packet.out_interface]
    match = ["-d", packet.destination]
    match += ["-i", packet.in_interface] if packet.in_interface else []
    match += ["-o", packet.out_interface] if packet.out_interface else []
    match += ["-p", packet.protocol]
    return [*match, "--dport", str(packet.dport)] if packet.dport is not None and packet.protocol in ("tcp", "udp") else match


def _allow_native(at: Rule | Chain, chain: str, packet: Packet) -> Change:
    parts = [nft('iifname "{}"', packet.in_interface)] if packet.in_interface else []
    parts += [nft('oifname "{}"', packet.out_interface)] if packet.out_interface else []
    parts.append(nft("{} daddr {}", "ip" if packet.family == 4 else "ip6", packet.destination))
    if packet.dport is not None and packet.protocol in ("tcp", "udp"):
        parts.append(nft("{} dport {}", packet.protocol, str(packet.dport)))
    elif packet.protocol == "icmpv6":
        parts.append(nft("meta l4proto icmpv6"))
    place = tuple(nft("{}", name) for name in (at.family, at.table, chain))
    rules = (
        reduce(lambda one, other: nft("{} {}", one, other), [*parts, nft("accept")]),
        nft("ct state established,related accept"),
    )
    commands = tuple(command("nft", "insert", "rule", *place, rule) for rule in rules)
    return Change(summary=f"accept {_spoken(packet)} in {chain}", commands=commands, lasts="until-reboot")


def _spoken(packet: Packet) -> str:
    if packet.destination.endswith("/0") and packet.out_interface is None:
        return {"icmpv6": "ICMPv6"}.get(packet.protocol, packet.protocol)
    if packet.destination.endswith("/0"):
        return f"all that leaves by {packet.out_interface}"
    port = f" port {packet.dport}/{packet.protocol}" if packet.dport is not None else f" {packet.protocol}"
    return f"{packet.destination}{port}"


# --- the words of those who manage rules


def _managed(of: Rule | Chain, packet: Packet) -> Change | None:
    manager = owner(of)
    if manager == "ufw" or (isinstance(of, Chain) and _is_called_from(of)):
        return _ufw(packet)
    if manager == "firewalld" and packet.out_interface is None and packet.dport is not None:
        return _firewalld(packet)
    return None


def _is_called_from(chain: Chain) -> bool:
    """Whether ufw's own chains are: then the chain's policy is ufw's, too: "Default: deny (incoming)"."""
    return any(rule.target.jumps_to.startswith(("ufw-", "ufw6-")) for rule in chain.rules)


def _ufw(packet: Packet) -> Change:
    route = ["route"] if packet.in_interface and packet.out_interface else []
    rule = ["in", "on", packet.in_interface] if packet.in_interface else []
    rule += ["out", "on", packet.out_interface] if packet.out_interface else []
    spoken = packet.protocol in ("tcp", "udp")
    rule += ["proto", packet.protocol] if spoken else []
    rule += ["from", "any", "to", packet.destination]
    rule += ["port", str(packet.dport)] if packet.dport is not None and spoken else []
    dashed = next((word for word in rule if word.startswith("-")), None)
    allowing = (
        command("ufw", *route, "prepend", "allow", *rule)
        if dashed is None
        else unsayable(f"ufw has no way to write the name {shown(dashed)}")
    )
    return Change(summary=f"let ufw allow {_spoken(packet)}", commands=(allowing,), lasts="permanent")


def _firewalld(packet: Packet) -> Change:
    interface = packet.in_interface or "lo"
    asked = command("firewall-cmd", glued("--get-zone-of-interface=", interface))
    zone = glued("--zone=", output(line("{} 2>/dev/null || firewall-cmd --get-default-zone", asked)))
    port = f"--add-port={packet.dport}/{packet.protocol}"
    commands = (command("firewall-cmd", zone, port), command("firewall-cmd", "--permanent", zone, port))
    return Change(summary=f"let firewalld accept {_spoken(packet)} on {interface}", commands=commands, lasts="permanent")
