"""What the rules do to a packet: at one chain, or on its whole way through the kernel's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dockernet_doctor.netfilter.model import (
    AddressType,
    Chain,
    Context,
    Decision,
    Family,
    Hook,
    Journey,
    Locality,
    Packet,
    Route,
    Rule,
    Ruleset,
    Stage,
    Table,
    Translation,
    Unknown,
    Verdict,
)
from dockernet_doctor.netfilter.terms import ALL_BITS, State, address_number, network_interval
from dockernet_doctor.netfilter.walk import decide
from dockernet_doctor.once import once_for_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dockernet_doctor.netfilter.records import Term

CONNTRACK = -200
"""NF_IP_PRI_CONNTRACK: what is hooked before it sees no connection."""


NAT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100, "forward": 0, "ingress": 0, "egress": 0}
"""NF_IP_PRI_NAT_DST and NF_IP_PRI_NAT_SRC: where an answer gets back the addresses that were translated."""


def evaluate(
    ruleset: Ruleset,
    table: str,
    chain: str,
    packet: Packet,
    context: Context | None = None,
    *,
    family: str | None = None,
) -> Decision:
    """What one chain does to one packet; without a context, what depends on the host's addresses or sets is unknown.

    A chain that is not there accepts, as a built-in chain without rules would.
    """
    found = ruleset.table(table, family)
    asked = found.chains.get(chain) if found else None
    if found is None or asked is None:
        return Decision(verdict="accept", packet=packet, possible=("accept",))
    state = State(packet, context)
    state.hook = asked.hook or ""
    state.tracked = not _before_conntrack(asked)
    return decide(asked, found, state)


def journey(rulesets: Sequence[Ruleset], packet: Packet, context: Context, *, connection: Journey | None = None) -> Journey:
    """The packet's way through every hook; made on this host where it has no `in_interface`. `connection` is the way of the
    first packet, where this is a later one of the same direction: what was translated then is translated again.

    The order is the kernel's: by hook, then by priority, chains of all backends and families together. A drop anywhere
    is final, an accept ends its own base chain only. nat is asked for the first packet of a connection, and the first
    translation counts.
    """
    return _Way(rulesets, packet, context, connection).walk()


def locality(local: Iterable[str], broadcasts: Iterable[str] = ()) -> Locality:
    """A `Locality` from the host's own addresses and the broadcast addresses of its subnets."""
    own, wide = frozenset(local), frozenset(broadcasts) | {"255.255.255.255", "0.0.0.0"}
    loopback, multicast = network_interval("127.0.0.0/8"), network_interval("224.0.0.0/4")

    def kind(address: str) -> AddressType:
        if address in own or address == "::1":
            return "LOCAL"
        if address in wide:
            return "BROADCAST"
        if ":" in address:
            return "MULTICAST" if address.lower().startswith("ff") else "UNICAST"
        number = address_number(address)
        if loopback[0] <= number <= loopback[1]:
            return "LOCAL"
        return "MULTICAST" if multicast[0] <= number <= multicast[1] else "UNICAST"

    return kind


def reply_to(way: Journey) -> Packet:
    """The first answer to a packet that was accepted, as it comes back to this host, before translations are undone.

    Who answers is the host itself where the packet was delivered here: then the answer has no `in_interface`.
    """
    sent = way.packet
    return Packet(
        family=sent.family,
        protocol=sent.protocol,
        source=sent.destination,
        destination=sent.source,
        sport=sent.dport,
        dport=sent.sport,
        icmp_type={8: 0, 128: 129}.get(sent.icmp_type or -1, sent.icmp_type),
        in_interface=sent.out_interface if way.destiny == "forward" else None,
        physdev_in=sent.physdev_out,
        physdev_out=sent.physdev_in,
        bridged=sent.bridged,
        # Nobody remembers a packet that was not tracked: its answer opens a connection of its own.
        ctstate="NEW" if sent.ctstate == "UNTRACKED" else "ESTABLISHED",
        reply=sent.ctstate != "UNTRACKED",
        dnat=sent.dnat,
        snat=sent.snat,
        original_source=sent.original_source,
        original_destination=sent.original_destination,
        original_dport=sent.original_dport,
        connmark=way.connmark,
        answer_zone=way.answer_zone,
        zoned_by=way.zoned_by,
    )


@once_for_each
def ask_for_length(rulesets: tuple[Ruleset, ...]) -> bool:
    """True if a rule may go by how large a packet is."""
    chains = (chain for ruleset in rulesets for table in ruleset.tables for chain in table.chains.values())
    return any(rule.may_ask_for_length for chain in chains for rule in chain.rules)


def sees_arp(rulesets: tuple[Ruleset, ...]) -> bool:
    """True if a chain may decide on ARP: most hosts have none."""
    return bool(_by_hook(rulesets)["arp"])


@once_for_each
def tell_first_from_later(rulesets: tuple[Ruleset, ...]) -> bool:
    """True if later packets of a connection may meet another fate than the first: a rule goes by the state of connections,
    beside those that accept what belongs to one."""
    chains = (chain for ruleset in rulesets for table in ruleset.tables for chain in table.chains.values())
    rules = (rule for chain in chains for rule in chain.rules if rule.may_ask_for_state)
    return any(rule.target.verdict != "accept" or not _of_connections(asked) for rule in rules for asked in rule.asks("state"))


def _of_connections(asked: Term) -> bool:
    return not asked.negated and any(value.lower() == "established" for value in asked.values)


_Hooked = tuple[Chain, Table, list[tuple[Chain, Table]]]
"""A base chain, its table, and chains after it that may as well come before it."""


_OF_IP = ("ip", "ip6", "inet")
_AT_DEVICES = ("ingress", "egress")
"""Hooks of single interfaces, whatever the family of the table."""


_SET_HOPS = ("ttl", "hl", "mangle")
"""What `Target.verdict` says of rules that may have set it,"""
_SET_TRACKING = ("ct", "notrack", "mangle")
"""and of those that may have kept a packet from connection tracking, or put it into a zone."""


class _Ended(Exception):  # noqa: N818
    """The packet goes no further."""


class _Way:
    def __init__(
        self, rulesets: Sequence[Ruleset], packet: Packet, context: Context, connection: Journey | None = None
    ) -> None:
        self.context = context
        self.connection = connection
        self.state = State(packet, context)
        self.hooks = _by_hook(tuple(rulesets))["arp" if packet.arp else packet.family]
        self.stages: list[Stage] = []
        self.dnat: Translation | None = None
        self.snat: Translation | None = None
        self.doubtful: Stage | None = None
        self.ended: Stage | None = None
        self.route = Route(kind="unknown")
        self.looped = False
        self.reroutes = False
        """True if what OUTPUT did makes the kernel look for the way again."""

    @property
    def packet(self) -> Packet:
        return self.state.packet

    def walk(self) -> Journey:
        try:
            if self.state.local:
                self._from_here()
            else:
                self._from_outside()
        except _Ended:
            pass
        return self._result()

    def _from_here(self) -> None:
        if self.packet.out_interface is None:
            self._routed()
        self._hook("output")
        # The hooks of OUTPUT keep the way out that was chosen first; POSTROUTING sees the new one (ip_route_me_harder).
        if self.reroutes or self.route.kind == "unknown":
            self._routed()
        self._hook("postrouting")
        if self.route.kind == "local":
            self._change(in_interface=self.packet.out_interface or "lo", out_interface=None)
            if self._source_is_lost():
                # MASQUERADE on lo takes the address of another interface: what asks for the source from here on is unknown.
                raise _Ended
            # Over the loopback the packet keeps the connection that OUTPUT gave it, its translations included.
            self.looped = True
            self._hook("prerouting", nat=False)
            self._hook("input", nat=False)
        else:
            self._leaves()

    def _from_outside(self) -> None:
        before = self.packet.destination
        self._hook("ingress")
        crosses = not self.packet.bridged and self.packet.in_interface in self.context.bridges
        early = self.packet.family not in self.context.bridge_netfilter
        if crosses:
            self._as_frame("prerouting")
        if crosses and early:
            self._as_frame("input")
        self._hook("prerouting")
        if crosses and not early:  # iptables' PREROUTING was asked for the frame
            self._as_frame("input")
        if self.packet.bridged and self.packet.destination == before:
            self.route = Route(kind="forward", out_interface=self.packet.out_interface or self.packet.in_interface)
            self._leaves_by(self.route.out_interface, self.packet.physdev_out)
        else:
            self._leaves_by(None, None)
            if self.packet.bridged:
                self._change(bridged=False)
                self._as_frame("input")
            self._routed()
        if self.route.kind == "local":
            self._leaves_by(None, self.packet.physdev_out)
            self._hook("input")
        elif self.route.kind == "forward":
            self._ensure_hops()
            self._hook("forward")
            self._hook("postrouting")
            self._leaves()

    def _leaves(self) -> None:
        self._hook("egress")
        if not self.packet.bridged and self.packet.out_interface in self.context.bridges:
            self._as_frame("output")
            self._as_frame("postrouting")

    def _as_frame(self, hook: Hook) -> None:
        """What is routed comes from a port of the bridge to the bridge itself, or goes from it to a port (br_pass_frame_up,
        br_dev_xmit): no chain for forwarded frames sees it."""
        for chain, table, _ in self.hooks.get(hook, ()):
            if chain.family == "bridge":
                self._stage(hook, chain, table)

    def _ensure_hops(self) -> None:
        """ip_forward drops what a rule of PREROUTING has left one hop, or none."""
        if self.packet.bridged or self.state.hops is None or self.state.hops > 1:
            return
        if met := self._met(_SET_HOPS):
            self._weigh(_dropping(*met[-1]))

    def _met(self, verdicts: tuple[str, ...]) -> list[tuple[Stage, Rule]]:
        """The rules that the packet met, in order, of those that go on with it and change something about it."""
        return [(stage, rule) for stage in self.stages for rule in stage.decision.trace if rule.target.verdict in verdicts]

    def _routed(self) -> None:
        packet, mark = self.state.packet, self.state.mark
        self.route = self.context.route(packet if packet.mark == mark else msgspec.structs.replace(packet, mark=mark))
        out = self.route.out_interface
        if self.route.kind == "local" and self.state.local:
            out = out or "lo"
        self._leaves_by(out, self.route.physdev_out)
        if self.route.kind in ("unknown", "none"):
            raise _Ended

    def _leaves_by(self, interface: str | None, port: str | None) -> None:
        packet = self.state.packet
        if packet.out_interface != interface or packet.physdev_out != port:
            self._change(out_interface=interface, physdev_out=port)

    def _change(self, **fields: Any) -> None:
        self.state.take(msgspec.structs.replace(self.packet, **fields))

    def _hook(self, hook: Hook, *, nat: bool = True) -> None:
        packet = self.state.packet
        known = self.connection or packet
        settled = not ((packet.reply or self.connection) and (known.dnat or known.snat))
        comes_to_ip = not packet.bridged or packet.family in self.context.bridge_netfilter
        for chain, table, rivals in self.hooks.get(hook, ()):
            if not (comes_to_ip if chain.family in _OF_IP and hook not in _AT_DEVICES else self._crosses(chain)):
                continue
            if not settled and (chain.priority or 0) >= NAT[hook]:
                settled = self._translate_as_known(hook)
            if chain.type != "nat":
                self._stage(hook, chain, table)
            elif nat and self._nat_asked(hook):
                first = self._asked_first((chain, table), rivals) if rivals else None
                stage = self._stage(hook, *first) if first else self._stage(hook, chain, table, rivals)
                nat = not self._translated(stage)
        if not settled:
            self._translate_as_known(hook)

    def _translate_as_known(self, hook: Hook) -> bool:
        """nf_nat gives a later packet what the first one got, and an answer the addresses that the asking side knows; one that
        is not tracked keeps its own."""
        packet = self.state.packet
        if packet.reply and (packet.ctstate == "UNTRACKED" or self.state.astray):
            self._ensure_known(hook)
        if packet.ctstate == "UNTRACKED":
            return True
        if self.connection is not None and not packet.reply:
            last = self.connection.packet
            if hook in ("prerouting", "output") and self.connection.dnat:
                self.reroutes = True
                self._change(
                    destination=last.destination,
                    dport=last.dport,
                    dnat=last.dnat,
                    original_destination=packet.destination,
                    original_dport=packet.dport,
                )
            if hook in ("postrouting", "input") and self.connection.snat:
                self._change(source=last.source, sport=last.sport, snat=last.snat, original_source=packet.source)
            return True
        self.reroutes = self.reroutes or hook == "output"
        if hook in ("prerouting", "output") and packet.snat and packet.original_source:
            self._change(destination=packet.original_source)
        if hook in ("postrouting", "input") and packet.dnat and packet.original_destination:
            sport = packet.original_dport if packet.original_dport is not None else packet.sport
            self._change(source=packet.original_destination, sport=sport)
        return True

    def _ensure_known(self, hook: Hook) -> None:
        """An answer that belongs to no connection keeps the addresses that only this side knows: whoever asked takes it for
        another's. To a datagram Docker's masquerade gives the right one, but for the port."""
        packet = self.state.packet
        if not (packet.dnat if hook in ("postrouting", "input") else packet.snat):
            return
        met = self._met(_SET_TRACKING)
        if not met and packet.zoned_by is not None and self.stages:
            met = [(self.stages[-1], packet.zoned_by)]
        if not met:
            return
        masked = packet.protocol != "tcp" and packet.ctstate != "UNTRACKED"
        if masked and packet.original_dport in (None, packet.sport):
            return
        self._weigh(_dropping(*met[0]))  # the first counts

    def _crosses(self, chain: Chain) -> bool:
        """True if the packet comes to a chain of bridges, of ARP, or of devices."""
        packet = self.state.packet
        if chain.family in ("bridge", "arp"):
            return packet.bridged is (chain.family == "bridge")
        leaves = chain.hook == "egress"
        passed = (packet.out_interface, packet.physdev_out) if leaves else (packet.in_interface, packet.physdev_in)
        return not chain.devices or any(name in chain.devices for name in passed)

    def _nat_asked(self, hook: str) -> bool:
        packet = self.state.packet
        if packet.ctstate not in ("NEW", "RELATED") or packet.reply:
            return False
        return not (packet.dnat if hook in ("prerouting", "output") else packet.snat)

    def _stage(self, hook: Hook, chain: Chain, table: Table, rivals: Sequence[tuple[Chain, Table]] = ()) -> Stage:
        state = self.state
        packet = state.packet
        state.hook = hook
        state.tracked = self.looped or not _before_conntrack(chain)
        if chain.family == "bridge":
            comes, goes = (
                packet.bridged or hook in ("prerouting", "input"),
                packet.bridged or hook not in ("prerouting", "input"),
            )
            state.inside, state.outside = (comes and packet.physdev_in) or "", (goes and packet.physdev_out) or ""
            state.inside_known, state.outside_known = bool(state.inside) or not comes, bool(state.outside) or hook != "forward"
            if not packet.bridged and goes:
                state.outside_known = bool(state.outside)
        if chain.type == "nat" and state.doubtful_tracking:
            decision = Decision(verdict="unknown", unknown=Unknown(what="notrack"), possible=("accept",), chain=chain)
        else:
            mark = state.mark
            decision = decide(chain, table, state)
            if hook == "output" and state.mark != mark and _may_reroute(chain):
                self.reroutes = True
            if rivals and any(self._differs(rival, decision) for rival in rivals):
                unknown = Unknown(what=f"which of two nat chains at {hook} comes first", rule=decision.rule)
                decision = msgspec.structs.replace(decision, verdict="unknown", unknown=unknown)
        if state.packet is not packet or chain.family == "bridge":
            state.take(state.packet)
        if hook in _AT_DEVICES and not chain.devices and decision.verdict != "accept":
            decision = _unless_elsewhere(decision, chain)
        stage = Stage(
            hook=hook, table=chain.table, chain=chain.name, backend=chain.backend, family=chain.family, decision=decision
        )
        self.stages.append(stage)
        if decision.verdict != "accept":
            self._weigh(stage)
        return stage

    def _asked_first(self, pair: tuple[Chain, Table], rivals: Sequence[tuple[Chain, Table]]) -> tuple[Chain, Table] | None:
        """The one of several chains that nobody can order whose translation was made, where those of the others never were."""
        asked = [(each, decide(*each, self.state).translation) for each in (pair, *rivals)]
        if any(made is None or made.rule.packets is None for _, made in asked):
            return None
        counted = [each for each, made in asked if made and made.rule.packets]
        return counted[0] if len(counted) == 1 else None

    def _differs(self, rival: tuple[Chain, Table], decision: Decision) -> bool:
        made, other = decision.translation, decide(*rival, self.state)
        if made is None or (other.verdict == "accept" and other.translation is None):
            return False
        theirs = other.translation
        return theirs is None or (theirs.address, theirs.port) != (made.address, made.port)

    def _weigh(self, stage: Stage) -> None:
        """What a verdict that is no plain accept means for the packet: the end, unless another was doubtful before."""
        decision = stage.decision
        if decision.verdict == "unknown":
            self.doubtful = self.doubtful or stage
            if stage.decision.chain and stage.decision.chain.type == "nat":
                raise _Ended
            return
        before = set(self.doubtful.decision.possible) - {"accept", decision.verdict} if self.doubtful else set()
        if not before:
            self.ended = stage
        raise _Ended

    def _translated(self, stage: Stage) -> bool:
        made = stage.decision.translation
        if made is None:
            return False
        packet = self.packet
        if made.kind in ("snat", "masquerade"):
            self.snat = made
            source, sport = made.address or packet.source, made.port or packet.sport
            self._change(
                source=source,
                sport=sport,
                snat=made.address is None or (source, sport) != (packet.source, packet.sport),
                original_source=packet.original_source or packet.source,
            )
            return True
        self.dnat, self.reroutes = made, True
        destination, dport = made.address or packet.destination, made.port or packet.dport
        # nf_nat_setup_info: what is translated to itself does not count as translated.
        self._change(
            destination=destination,
            dport=dport,
            dnat=(destination, dport) != (packet.destination, packet.dport),
            original_destination=packet.original_destination or packet.destination,
            original_dport=packet.original_dport if packet.original_dport is not None else packet.dport,
        )
        return True

    def _source_is_lost(self) -> bool:
        here = self.state.local and self.route.kind == "local"
        return here and self.snat is not None and self.snat.address is None and bool(self.hooks.get("input"))

    def _result(self) -> Journey:
        stage = self.ended or self.doubtful
        verdict: Verdict = "accept"
        if self.ended:
            verdict = self.ended.decision.verdict
        elif self.doubtful or self.route.kind == "unknown" or self._source_is_lost():
            verdict = "unknown"
        return Journey(
            verdict=verdict,
            decision=stage.decision if stage else None,
            hook=stage.hook if stage else None,
            destiny=self.route.kind,
            packet=msgspec.structs.replace(self.packet, mark=self.state.mark) if self.state.mark else self.packet,
            connmark=self.state.connmark if self.state.connmark_known == ALL_BITS else None,
            answer_zone=self.state.zones[1],
            zoned_by=met[0][1] if self.state.zone_set and (met := self._met(_SET_TRACKING)) else None,
            dnat=self.dnat,
            snat=self.snat,
            stages=tuple(self.stages),
        )


def _dropping(stage: Stage, rule: Rule) -> Stage:
    """What the rule did there ends the packet later on."""
    decision = msgspec.structs.replace(stage.decision, verdict="drop", rule=rule, possible=("drop",))
    return msgspec.structs.replace(stage, decision=decision)


def _unordered(one: Chain, other: Chain) -> bool:
    """True if nobody can tell which of two nat chains was registered first: nft numbers its own, legacy ones have no number."""
    numbered = one.handle is not None and other.handle is not None
    same = one.backend == other.backend  # one program's dump, in which handles are there for all or for none
    return one.type == "nat" and one.priority == other.priority and not numbered and not same


def _unless_elsewhere(decision: Decision, chain: Chain) -> Decision:
    """Old versions of nft do not say at which interface a chain of ingress or egress is hooked."""
    what = f"the interface of the chain {chain.name} ({chain.family} {chain.table})"
    possible = tuple(sorted({*decision.possible, "accept"}))
    unknown = Unknown(what=what, rule=decision.rule, standing=True)
    stops = (decision,) if decision.verdict in ("drop", "reject") else decision.stops
    return msgspec.structs.replace(decision, verdict="unknown", unknown=unknown, possible=possible, stops=stops)


def _may_reroute(chain: Chain) -> bool:
    """True if a new mark makes the kernel look for the way again (nf_route_table_hook4, ipt_mangle_out): in no filter chain."""
    return chain.type == "route" or (chain.backend != "nft" and chain.table == "mangle")


def _before_conntrack(chain: Chain) -> bool:
    early = chain.priority if chain.priority is not None else -300 if chain.table == "raw" else 0
    return chain.hook == "ingress" or (early < CONNTRACK and chain.hook in ("prerouting", "output", None))


@once_for_each
def _by_hook(rulesets: tuple[Ruleset, ...]) -> dict[Family | Literal["arp"], dict[str, list[_Hooked]]]:
    """The base chains that packets of a family, or ARP, may come to at each hook, in the kernel's order; those of bridges
    come first.

    Of equal priorities the one that was registered last comes first (net/netfilter/core.c, nf_hook_entries_grow).
    """
    ordered = sorted(_base_chains(rulesets), key=_order)
    families: dict[Family | Literal["arp"], tuple[str, ...]] = {4: ("ip", "inet"), 6: ("ip6", "inet"), "arp": ("arp",)}
    found: dict[Family | Literal["arp"], dict[str, list[_Hooked]]] = {family: {} for family in families}
    for family, own in families.items():
        pairs = [pair for pair in ordered if pair[0].family in (*own, "bridge", "netdev")]
        for index, (chain, table) in enumerate(pairs):
            rivals = [pair for pair in pairs[index + 1 :] if pair[0].hook == chain.hook and _unordered(pair[0], chain)]
            found[family].setdefault(chain.hook or "", []).append((chain, table, rivals))
    return found


def _order(pair: tuple[Chain, Table]) -> tuple[bool, int, int, int]:
    chain, table = pair
    return chain.family != "bridge", chain.priority or 0, -(table.handle or 0), -(chain.handle or 0)


def _base_chains(rulesets: tuple[Ruleset, ...]) -> Iterator[tuple[Chain, Table]]:
    """Those that can do anything: a chain that is empty and accepts leaves no trace."""
    for ruleset in rulesets:
        for table in ruleset.tables:
            for chain in table.chains.values() if not table.dormant else ():
                if chain.hook and (chain.rules or (chain.policy or "").upper() == "DROP"):
                    yield chain, table
