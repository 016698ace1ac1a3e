"""What keeps a line of `ip rule` beyond the next start, in the words of who manages the uplink.

As netplan(5), systemd.network(5) and nm-settings(5) have it; netplan 0.106, systemd-networkd 252 and nmcli 1.42 took it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dockernet_doctor.diagnosis.change import Change, FileChange, RuleChange
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.fixes.addressing import uplink
from dockernet_doctor.shell import Command, command, output, then, write
from dockernet_doctor.snapshot.model import LinkKeeper, RoutingRule

_SECTIONS = {"": "ethernets", "vlan": "vlans", "bond": "bonds", "bridge": "bridges"}
"""The kinds of links as netplan has them."""


def kept_rules(facts: HostFacts, changes: Sequence[Change]) -> tuple[FileChange, ...]:
    """What keeps these changes, rules that are added on the host; () where one of them is something else or has no keeper."""
    rules = [it.rule for it in changes if isinstance(it, RuleChange) and it == RuleChange.added(it.rule)]
    link, host = uplink(facts), facts.host
    keeper = next((it for it in host.link_keepers if link and it.link == link.name), None) if host else None
    if keeper is None or link is None or not rules or len(rules) != len(changes):
        return ()
    if any(rule.action != "lookup" or rule.selectors or rule.mark is not None for rule in rules):
        return ()
    if keeper.keeper == "NetworkManager":
        return tuple(_by_network_manager(link.name, rule) for rule in rules)
    section = _SECTIONS.get(link.kind)
    if keeper.keeper == "netplan" and section and all(map(_is_said_by_netplan, rules)):
        return (_by_netplan(section, keeper, rules),)
    return (_by_networkd(keeper, rules),)


def _by_network_manager(link: str, rule: RoutingRule) -> FileChange:
    """One rule of the connection by which the link is up."""
    pairs = [("priority", str(rule.priority)), ("from", rule.source), ("to", rule.destination)]
    pairs += [("iif", rule.in_interface), ("oif", rule.out_interface), ("table", str(rule.table))]
    said = " ".join([*(["not"] if rule.inverted else []), *(f"{name} {value}" for name, value in pairs if value)])
    if rule.suppress_prefix_length is not None:
        said += f" suppress_prefixlength {rule.suppress_prefix_length}"

    def modified(sign: str) -> Command:
        up = output(command("nmcli", "-g", "GENERAL.CONNECTION", "device", "show", link))
        return command("nmcli", "connection", "modify", "id", up, f"{sign}ipv{rule.family}.routing-rules", said)

    return FileChange(forth=(modified("+"),), back=(modified("-"),))


def _is_said_by_netplan(rule: RoutingRule) -> bool:
    asks_more = rule.inverted or rule.in_interface or rule.out_interface or rule.suppress_prefix_length is not None
    return bool(rule.source or rule.destination) and not asks_more


def _by_netplan(section: str, keeper: LinkKeeper, rules: Sequence[RoutingRule]) -> FileChange:
    """A file of its own, which netplan joins with the others."""
    lines = ["network:", "  version: 2", f"  {section}:", f"    {keeper.name}:", "      routing-policy:"]
    for rule in rules:
        pairs = [("from", rule.source), ("to", rule.destination), ("table", rule.table), ("priority", rule.priority)]
        said = [f"{name}: {value}" for name, value in pairs if value]
        lines += [f"{'  ' if number else '- '}{text}".rjust(len(text) + 10) for number, text in enumerate(said)]
    path = f"/etc/netplan/90-docker-rule-{rules[0].priority}.yaml"
    return FileChange(
        forth=(then(write(path, *lines), command("chmod", "600", path), command("netplan", "generate")),),
        back=(then(command("rm", path), command("netplan", "generate")),),
    )


def _by_networkd(keeper: LinkKeeper, rules: Sequence[RoutingRule]) -> FileChange:
    """A drop-in beside the file that the link goes by; what netplan makes of its own takes one, too."""
    file = f"10-netplan-{keeper.name}.network" if keeper.keeper == "netplan" else keeper.name
    path = f"/etc/systemd/network/{file}.d/docker-rule-{rules[0].priority}.conf"
    made = then(command("mkdir", "-p", path.rpartition("/")[0]), write(path, *(it for rule in rules for it in _section(rule))))
    return FileChange(forth=(made,), back=(command("rm", path),))


def _section(rule: RoutingRule) -> Iterator[str]:
    yield "[RoutingPolicyRule]"
    if rule.inverted:
        yield "InvertRule=yes"
    pairs = [("From", rule.source), ("To", rule.destination)]
    pairs += [("IncomingInterface", rule.in_interface), ("OutgoingInterface", rule.out_interface)]
    yield from (f"{name}={value}" for name, value in pairs if value)
    yield from (f"Table={rule.table}", f"Priority={rule.priority}", f"Family=ipv{rule.family}")
    if rule.suppress_prefix_length is not None:
        yield f"SuppressPrefixLength={rule.suppress_prefix_length}"
