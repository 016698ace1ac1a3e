"""What a fix changes, as typed values: the commands, those that take it back, and the snapshot once it was made, from each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.netfilter.edit import RuleEdit, edited
from dockernet_doctor.netfilter.ipsec import selector
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, line, operands, output, setting
from dockernet_doctor.snapshot.model import IpsecPolicy, NetworkStack, Route, RoutingRule, Snapshot


class Change(Struct, frozen=True, kw_only=True):
    """One change of a host."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Complete lines of POSIX sh that make it, in order."""
        raise NotImplementedError

    @property
    def undo(self) -> tuple[Command, ...]:
        """The lines that take it back; () where nothing does."""
        return ()

    def applied(self, snapshot: Snapshot) -> Snapshot | None:  # noqa: ARG002 - of kinds that know
        """The snapshot once the change was made; None where nobody can foretell it."""
        return None


class Commands(Change, frozen=True, kw_only=True):
    """Commands without a picture of what they do to the snapshot."""

    forth: tuple[Command, ...]
    back: tuple[Command, ...] = ()

    @property
    def commands(self) -> tuple[Command, ...]:
        return self.forth

    @property
    def undo(self) -> tuple[Command, ...]:
        return self.back


class Passing(Commands, frozen=True, kw_only=True):
    """What the host learns or forgets by itself, too, so that nobody takes it back: entries of a cache that are cleared."""


class FileChange(Commands, frozen=True, kw_only=True):
    """A file that keeps what another change does beyond the next reboot: by itself it changes nothing now."""

    def applied(self, snapshot: Snapshot) -> Snapshot:
        return snapshot


class StackChange(Change, frozen=True, kw_only=True):
    """A change of one network namespace: the host's, or that of the container `inside`."""

    inside: str = ""

    def applied(self, snapshot: Snapshot) -> Snapshot | None:
        if not self.inside:
            host = snapshot.host
            return replace(snapshot, host=replace(host, stack=self.of_stack(host.stack))) if host else None
        containers = tuple(
            replace(c, sandbox=replace(c.sandbox, stack=self.of_stack(c.sandbox.stack)))
            if c.name == self.inside and c.sandbox
            else c
            for c in snapshot.containers
        )
        return replace(snapshot, containers=containers)

    def of_stack(self, stack: NetworkStack) -> NetworkStack:
        """The namespace once it was made."""
        raise NotImplementedError

    def _there(self, lines: tuple[Command, ...]) -> tuple[Command, ...]:
        """The lines, run where the change is made."""
        return tuple(_inside(self.inside, it) for it in lines) if self.inside else lines


class FirewallChange(StackChange, frozen=True, kw_only=True):
    """An edit of the rules."""

    edit: RuleEdit

    @property
    def commands(self) -> tuple[Command, ...]:
        return self._there(self.edit.commands)

    @property
    def undo(self) -> tuple[Command, ...]:
        return self._there(self.edit.undo)

    def of_stack(self, stack: NetworkStack) -> NetworkStack:
        return replace(stack, firewall=edited(stack.firewall or (), (self.edit,)))


class _Edits(StackChange, frozen=True, kw_only=True):
    """Edits of one firewall, which together read its dumps once."""

    edits: tuple[RuleEdit, ...]

    def of_stack(self, stack: NetworkStack) -> NetworkStack:
        return replace(stack, firewall=edited(stack.firewall or (), self.edits))


class PolicyRemoval(StackChange, frozen=True, kw_only=True):
    """An IPsec policy that blocks is taken away."""

    policy: IpsecPolicy

    @property
    def commands(self) -> tuple[Command, ...]:
        return self._there((command("ip", "xfrm", "policy", "delete", *selector(self.policy)),))

    @property
    def undo(self) -> tuple[Command, ...]:
        words = ("action", "block", "priority", str(self.policy.priority))
        return self._there((command("ip", "xfrm", "policy", "add", *selector(self.policy), *words),))

    def of_stack(self, stack: NetworkStack) -> NetworkStack:
        return replace(stack, ipsec=tuple(policy for policy in stack.ipsec if policy != self.policy))


class SysctlChange(StackChange, frozen=True, kw_only=True):
    """A setting of the kernel, until the next reboot. `before` is None where it was not read."""

    key: str
    value: str
    before: str | None = None

    @property
    def commands(self) -> tuple[Command, ...]:
        return self._there((command("sysctl", "-w", setting(self.key, self.value)),))

    @property
    def undo(self) -> tuple[Command, ...]:
        return () if self.before is None else self._there((command("sysctl", "-w", setting(self.key, self.before)),))

    def applied(self, snapshot: Snapshot) -> Snapshot | None:
        return super().applied(snapshot) if _SEEN_BY_THE_WALK.fullmatch(self.key) else None

    def of_stack(self, stack: NetworkStack) -> NetworkStack:
        return replace(stack, sysctls={**stack.sysctls, **implied(self.key, self.value, stack), self.key: self.value})


def all_applied(changes: Sequence[Change], snapshot: Snapshot) -> Snapshot | None:
    """The snapshot once all of them were made, in order; None where nobody can foretell it."""
    for change in _joined(changes):
        after = change.applied(snapshot)
        if after is None:
            return None
        snapshot = after
    return snapshot


def _joined(changes: Sequence[Change]) -> Iterable[Change]:
    """Joins edits of one firewall that follow one another into one change."""
    for inside, same in groupby(changes, key=lambda change: change.inside if isinstance(change, FirewallChange) else None):
        if inside is None:
            yield from same
        else:
            yield _Edits(inside=inside, edits=tuple(it.edit for it in same if isinstance(it, FirewallChange)))


class IpChange(Change, frozen=True, kw_only=True):
    """A change that ip(8) makes in one network namespace: the host's, or that of the container `inside`.

    forth  the words behind `ip`
    back   those that take it back; () where it ends with something else that is taken back
    """

    forth: tuple[str, ...]
    back: tuple[str, ...] = ()
    inside: str = ""

    @property
    def commands(self) -> tuple[Command, ...]:
        return (self._ip(self.forth),)

    @property
    def undo(self) -> tuple[Command, ...]:
        return (self._ip(self.back),) if self.back else ()

    def _ip(self, words: tuple[str, ...]) -> Command:
        return in_namespace(self.inside, "ip", *words) if self.inside else command("ip", *words)


class RouteChange(IpChange, frozen=True, kw_only=True):
    """A route that is added or taken away."""

    route: Route

    @classmethod
    def added(cls, route: Route, *, inside: str = "") -> RouteChange:
        return cls(route=route, inside=inside, forth=_of_route("replace", route), back=_of_route("del", route))

    @classmethod
    def removed(cls, route: Route, *, inside: str = "") -> RouteChange:
        return cls(route=route, inside=inside, forth=_of_route("del", route), back=_of_route("add", route))


class RuleChange(IpChange, frozen=True, kw_only=True):
    """A line of `ip rule` that is added or taken away."""

    rule: RoutingRule

    @classmethod
    def added(cls, rule: RoutingRule, *, inside: str = "") -> RuleChange:
        return cls(rule=rule, inside=inside, forth=_of_rule("add", rule), back=_of_rule("del", rule))

    @classmethod
    def removed(cls, rule: RoutingRule, *, inside: str = "") -> RuleChange:
        only = (f"-{rule.family}", "rule", "del", "pref", str(rule.priority))
        return cls(rule=rule, inside=inside, forth=only, back=_of_rule("add", rule))


_MAIN = 254


def _of_route(verb: str, route: Route) -> tuple[str, ...]:
    """The words for ip(8), of the route in full where it is to be made."""
    kind = () if route.kind == "unicast" else (route.kind,)
    pairs = [("via", route.gateway), ("dev", route.link if route.kind == "unicast" else None)]
    pairs += [("src", route.source)] if verb != "del" else []
    pairs += [("table", str(route.table) if route.table != _MAIN else None)]
    pairs += [("metric", str(route.metric) if route.metric else None)]
    named = tuple(word for name, value in pairs if value for word in (name, value))
    return (f"-{route.family}", "route", verb, *kind, route.destination, *named)


def _of_rule(verb: str, rule: RoutingRule) -> tuple[str, ...]:
    """The words for ip(8), which knows a rule by all of them."""
    mark = None if rule.mark is None else f"{rule.mark:#x}" + ("" if rule.mark_mask is None else f"/{rule.mark_mask:#x}")
    pairs = [("from", rule.source), ("to", rule.destination), ("fwmark", mark)]
    pairs += [("iif", rule.in_interface), ("oif", rule.out_interface)]
    named = [word for name, value in pairs if value for word in (name, value)]
    named += [word for selector in rule.selectors for word in selector.split()]
    does = ["lookup", "main" if rule.table == _MAIN else str(rule.table)] if rule.action == "lookup" else [rule.action]
    if rule.suppress_prefix_length is not None:
        does += ["suppress_prefixlength", str(rule.suppress_prefix_length)]
    return (f"-{rule.family}", "rule", verb, *(["not"] if rule.inverted else []), *named, *does, "pref", str(rule.priority))


_SEEN_BY_THE_WALK = regex(
    r"net\.(ipv4\.ip_forward|ipv[46]\.conf\..*\.(forwarding|rp_filter|route_localnet|arp_ignore)|bridge\.bridge-nf-call-.*)"
)
"""Settings on which alone it depends whether a packet passes; what others do shows when the kernel has done it."""


def implied(key: str, value: str, stack: NetworkStack) -> dict[str, str]:
    """The settings of interfaces that the kernel sets along with one for all (ip-sysctl: ip_forward, all.forwarding)."""
    family = {"net.ipv4.ip_forward": "ipv4", "net.ipv4.conf.all.forwarding": "ipv4", "net.ipv6.conf.all.forwarding": "ipv6"}
    if (kind := family.get(key)) is None:
        return {}
    found = {k: value for k in stack.sysctls if k.startswith(f"net.{kind}.conf.") and k.endswith(".forwarding")}
    return {**found, "net.ipv4.ip_forward": value} if kind == "ipv4" else found


def _inside(container: str, command: Command) -> Command:
    """The line, by a shell in the namespace where it is more than one command with its words."""
    if _OF_A_SHELL & set(command):
        return in_namespace(container, "sh", "-c", command)
    return line("{} {}", in_namespace(container), command)


_OF_A_SHELL = frozenset("|&;<>()$`#")


def in_namespace(container: str, *words: str) -> Command:
    """A program of the host, run in the network namespace of the container of that name."""
    pid = command("docker", "inspect", "-f", "{{.State.Pid}}", *operands(container))
    return command("nsenter", "-t", output(pid), "-n", *words)
