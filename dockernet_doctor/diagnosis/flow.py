"""A packet's way through this host, decided from the snapshot alone: link → route → filter → mapping → listener.

Sources: Linux forwarding and bridging as of 5.10–6.x (bridge-nf-call-iptables sends bridged packets through FORWARD;
rp_filter=1 drops what would not be answered over the same interface), docker-proxy of every engine (takes what was
delivered to a published port on the host and dials the container's address itself).
"""

from __future__ import annotations

import ipaddress
from typing import Literal

from msgspec import Struct

from dockernet_doctor.netfilter.describe import describe, describe_policy
from dockernet_doctor.netfilter.docker import is_docker_rule
from dockernet_doctor.netfilter.evaluate import journey, locality, reply_to
from dockernet_doctor.netfilter.model import Context, Decision, Journey, Packet
from dockernet_doctor.netfilter.model import Route as PacketRoute
from dockernet_doctor.snapshot.model import (
    Container,
    Endpoint,
    Link,
    Listener,
    Network,
    NetworkStack,
    Protocol,
    PublishedPort,
)

from .facts import HostFacts
from .links import BRIDGED, ON_PARENT, bridge_problem, endpoint_problem, gateways_of, veth_problem
from .path import (
    AddressOfNobody,
    DirectlyDialled,
    Dropped,
    ForwardingOff,
    IsolatedFromHost,
    LinkBroken,
    NamespaceLost,
    NoAddressOfFamily,
    NoEgress,
    NoMasquerade,
    NoNetwork,
    NoRoute,
    NothingListens,
    NotRunning,
    NotTranslated,
    Obstacle,
    Paused,
    ReverseFiltered,
    RouteElsewhere,
    StaleFlow,
    StaleNeighbour,
    SubnetOverlaps,
    TranslatedElsewhere,
)
from .routing import Lookup, covering, lookup, route_text, rule_text

# what people number their own networks with; of these nobody can tell a former container's address from another machine's
PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
ANYWHERE = {4: "198.51.100.10", 6: "2001:db8:ffff::10"}  # documentation prefixes: "some machine beyond the gateway"


class Trail(Struct, kw_only=True):
    """What the walk has found so far; the first obstacle ends it."""

    predicted: dict[str, str] = {}
    unknown: dict[str, str] = {}
    hop: str | None = None
    obstacle: Obstacle | None = None
    container: Container | None = None  # where it ends
    port: int | None = None
    endpoint: Endpoint | None = None
    network: Network | None = None
    published: PublishedPort | None = None
    backend: tuple[str, int] | None = None  # what docker-proxy dials
    beyond: bool = False  # leaves this host
    far: str = ""  # the other host that it came to, where several are read
    undecided: Decision | None = None  # by a match that no snapshot can tell, such as `-m statistic`

    @property
    def ended(self) -> bool:
        return self.obstacle is not None

    def say(self, hop: str, text: str) -> None:
        if text and text not in self.predicted.get(hop, ""):
            self.predicted[hop] = f"{self.predicted[hop]}; {text}" if self.predicted.get(hop) else text

    def doubt(self, hop: str, why: str) -> None:
        self.unknown.setdefault(hop, why)

    def stop(self, hop: str, obstacle: Obstacle, text: str) -> None:
        if self.obstacle is None:
            self.hop, self.obstacle = hop, obstacle
            self.predicted[hop] = text


class Sender(Struct, frozen=True, kw_only=True):
    """Who sends: a container, the host itself, or another machine (`outside`), whose address may be known."""

    container: Container | None = None
    outside: bool = False
    address: str = ""

    def __str__(self) -> str:
        return self.container.name if self.container else "another machine" if self.outside else "the host"


def flow(facts: HostFacts, sender: Sender, address: str, port: int, protocol: Protocol, trail: Trail) -> None:
    """Walk one packet from `sender` to `address`:`port`; the outcome is in `trail`."""
    walk = _Walk(facts, protocol, trail, sender)
    family = ipaddress.ip_address(address).version
    if sender.outside:
        walk.from_outside(address, port, family)
    elif sender.container is None or sender.container.network_mode == "host":
        walk.from_host(address, port, family)
    else:
        walk.from_container(sender.container, address, port, family)


def arrive(facts: HostFacts, network: Network, address: str, port: int, protocol: Protocol, origin: str, trail: Trail) -> None:
    """The last stretch of what a member of an overlay network on another host, at `origin`, sent to a member on this one."""
    _Walk(facts, protocol, trail, Sender(outside=True, address=origin)).to_member(network, address, port, origin)


class _Walk:
    """One walk: the facts, the protocol and the trail it writes."""

    def __init__(self, facts: HostFacts, protocol: Protocol, trail: Trail, sender: Sender) -> None:
        self.facts = facts
        self.protocol = protocol
        self.trail = trail
        self.sender = sender
        self.legs = 0
        self.dialled = ""  # the host's address that another machine dialled
        self.uplink = ""  # by which its packet comes in

    # --- where it starts

    def from_container(self, source: Container, address: str, port: int, family: int) -> None:
        trail, facts = self.trail, self.facts
        stack = facts.stack_of(source)
        if stack is None:
            trail.doubt("link", f"the inside of {source.name} could not be read")
            trail.doubt("route", f"the inside of {source.name} could not be read")
            self._from_container_by_inspection(source, address, port)
            return
        if address.startswith("127.") or address == "::1" or any(a.address == address for a in stack.addresses):
            trail.say("route", "stays inside the container")
            self._arrive(source, None, None, address, port)
            return
        found = lookup(stack, address, protocol=self.protocol, port=port)
        if self._own_links_broken(source, stack, found, address):
            return
        if not self._leaves(source, stack, found, address):
            return
        link = next((li for li in stack.links if li.name == found.link), None)
        own = self._endpoint_on(source, stack, found.link)
        network = facts.network_of(own) if own else self._way_out_of_overlays(stack, found.link)
        trail.network = trail.network or network
        trail.say("route", f"{route_text(found.route)}" if found.route else f"by {found.link}")
        origin = found.source or ""
        packet = self._packet(origin, address, port, family, out_interface=found.link)
        if self._sandbox_drops(source, packet):
            return
        next_hop = found.gateway or address
        if self._stale(stack, source.name, next_hop, found.link, network):
            return
        if network is None or link is None:
            trail.doubt("route", f"{found.link} of {source.name} belongs to no Docker network")
            return
        self._onto_network(source, network, link, address, port, origin, gateway=found.gateway)

    def from_host(self, address: str, port: int, family: int) -> None:
        stack = self.facts.stack
        if stack is None:
            for hop in ("route", "filter"):
                self.trail.doubt(hop, "the host's network could not be read")
            self._by_inspection(address, port)
            return
        found = lookup(stack, address, protocol=self.protocol, port=port)
        if found.kind not in ("unicast", "local"):
            self._no_route("host", address, found, None)
            return
        packet = self._packet(found.source or "", address, port, family)
        self._through_host(packet, in_interface=None)

    def from_outside(self, address: str, port: int, family: int) -> None:
        self.dialled = address
        stack = self.facts.stack
        if stack is None:
            for hop in ("route", "filter"):
                self.trail.doubt(hop, "the host's network could not be read")
            self._by_inspection(address, port)
            return
        holder = self.facts.holder(address)
        network = self.facts.network_of(holder[1]) if holder else None
        if network is not None and network.driver in ON_PARENT:
            self.trail.say("route", f"straight to {address} by the parent interface of {network.name}")
            self.to_member(network, address, port, "")
            return
        uplink, client = self.uplink_and_client(stack, address, family)
        client = self.sender.address or client
        if uplink is None:
            self.trail.stop("route", NoRoute(where="host", destination=address), "this host has no interface to other machines")
            return
        if self._client_swallowed(stack, client, address, uplink):
            return
        self.uplink = uplink
        packet = self._packet(client, address, port, family)
        self._through_host(packet, in_interface=uplink)

    def _client_swallowed(self, stack: NetworkStack, client: str, address: str, uplink: str) -> bool:
        """A Docker network covers the address of the other machine: what is answered goes onto its bridge."""
        back = lookup(stack, client, source=address)
        network = self.facts.bridges.get(back.link or "")
        if network is None or back.link == uplink:
            return False
        self.trail.stop(
            "route",
            SubnetOverlaps(
                address=client,
                network=network,
                link=uplink,
                because=route_text(back.route) if back.route else "",
                container=self.trail.container,
                reply=True,
                proven=True,
            ),
            f"answers to {client}, which is on {uplink}, go to {back.link} ({network.name})",
        )
        return True

    def uplink_and_client(self, stack: NetworkStack, address: str, family: int) -> tuple[str | None, str]:
        """The interface by which another machine's packet comes in, and an address it may have."""
        docker = set(self.facts.bridges)
        candidates = [
            a for a in stack.addresses if a.family == family and a.scope == "global" and a.link != "lo" and a.link not in docker
        ]
        own = next((a for a in candidates if a.address == address), None) or (candidates[0] if candidates else None)
        if own is None:
            return None, ""
        near = (n.address for n in stack.neighbours if n.link == own.link and n.family == family and n.mac)
        subnet = ipaddress.ip_network(f"{own.address}/{own.prefix}", strict=False)
        known = next((address for address in near if ipaddress.ip_address(address) in subnet), "")
        return own.link, known or _free_address(stack, subnet) or ANYWHERE[family]

    # --- through the host

    def _through_host(self, packet: Packet, in_interface: str | None) -> None:
        """Prerouting or output, then input or forward, then postrouting; then to where it is delivered."""
        facts, trail = self.facts, self.trail
        stack = facts.stack
        if stack is None:
            self._by_inspection(packet.destination, packet.dport or 0)
            return
        packet = _replace(packet, in_interface=in_interface)
        rulesets = facts.rulesets
        if rulesets is None:
            trail.doubt("filter", "the host's firewall rules could not be read")
            self._by_inspection(packet.destination, packet.dport or 0)
            return
        seen: dict[str, Lookup] = {}
        context = self._context(stack, in_interface, seen)
        went = journey(rulesets, packet, context)
        self._note_filter(went)
        if self._taken_first(packet, went) or self._stale_flow(packet) or self._way_broken(went, seen):
            return
        if went.verdict in ("drop", "reject") and went.decision:
            if went.destiny in ("forward", "unknown") and self._forwarding_off(stack, in_interface, packet):
                return
            self._dropped("host", went.decision, went.packet)
            return
        if went.verdict == "accept" and self._answer_dropped(went, stack):
            return
        if went.verdict == "unknown":
            what = went.decision.unknown.what if went.decision and went.decision.unknown else "a rule"
            trail.doubt("filter", f"what {what} decides is not known")
            trail.undecided = went.decision
        final, to_port = went.packet.destination, went.packet.dport or 0
        if went.dnat:
            trail.say("mapping", f"DNAT to {final}:{to_port}")
            if published := self._published_at(packet.destination, packet.dport or 0):
                trail.published = published[1]
        self._where_to(packet, went, final, to_port, in_interface, seen.get(final))

    def _way_broken(self, went: Journey, seen: dict[str, Lookup]) -> bool:
        """What leads to a bridge that is broken, or past it: link and route come before the filter."""
        final = went.packet.destination
        network = self.facts.network_containing(final)
        if network is None or network.driver not in BRIDGED or not network.bridge or self.facts.is_own(final):
            return False
        if went.destiny not in ("forward", "none"):
            return False
        if self._bridge_broken(network, family=went.packet.family):
            return True
        route = seen.get(final)
        out = went.packet.out_interface or (route.link if route else None)
        if out and out != network.bridge:
            return self._bypassed(network, final, out, route)
        known = self.facts.holder(final) or final in gateways_of(network)
        known = known or any(m.ipv4 and m.ipv4.split("/")[0] == final for m in network.members)
        return not known and self._swallowed(network, final)

    def _bypassed(self, network: Network, final: str, out: str, route: Lookup | None) -> bool:
        """An address of a Docker network goes out by another link: the LAN's own, or where a route or rule leads it."""
        stack = self.facts.stack
        text = f"{final} goes out by {out}, not by {network.bridge} ({network.name})"
        holder = self.facts.holder(final)
        if holder is None:
            self.trail.say("route", text)
            return False
        on_link = route is not None and route.route is not None and route.route.gateway is None
        there = [a.address for a in stack.addresses if a.link == out] if stack and on_link else []
        if any(self.facts.network_containing(address) is network for address in there):
            overlap = SubnetOverlaps(
                address=final,
                network=network,
                link=out,
                because=route_text(route.route) if route and route.route else "",
                container=holder[0] if holder else None,
                proven=True,
            )
            self.trail.stop("route", overlap, text)
        else:
            self.trail.stop("route", self._elsewhere("host", final, network.bridge or "", out, route, network), text)
        return True

    def _where_to(
        self, packet: Packet, went: Journey, final: str, port: int, in_interface: str | None, route: Lookup | None
    ) -> None:
        facts = self.facts
        stack = facts.stack
        assert stack is not None
        if went.destiny == "none":
            if self._forwarding_off(stack, in_interface, packet):
                return
            self._no_route("host", final, route or Lookup(kind="none"), None)
            return
        if went.destiny == "local" or facts.is_own(final):
            self._deliver_locally(packet, final, port)
            return
        if in_interface is not None and self._forwarding_off(stack, in_interface, packet):
            return
        # the answers come in where the packet goes out
        if in_interface is not None and self._forwarding_off(stack, went.packet.out_interface, packet):
            return
        if self._reverse_filtered(stack, packet, in_interface, final) or self._not_hairpinned(stack, packet, went):
            return
        self._leave_by(packet, went, final, port, route)

    def _leave_by(self, packet: Packet, went: Journey, final: str, port: int, route: Lookup | None) -> None:
        facts, trail = self.facts, self.trail
        network = facts.network_containing(final)
        out = went.packet.out_interface or (route.link if route else None)
        if network is not None and network.driver in BRIDGED and network.bridge:
            if not out or out == network.bridge:
                trail.say("route", f"by {network.bridge} ({network.name})")
                self.to_member(network, final, port, packet.source)
                return
        elif network is not None and network.driver in ON_PARENT:
            holder = facts.holder(final)
            local = self.sender.container is None and not self.sender.outside
            if holder and local and not self._by_shim(final):
                trail.stop(
                    "network",
                    IsolatedFromHost(container=holder[0], network=network),
                    f"{network.driver} {network.name}: the host cannot talk to its own children",
                )
                return
            self.to_member(network, final, port, packet.source)
            return
        if out and (served := facts.bridges.get(out)) and self.sender.container is None and network is None:
            trail.say("route", f"{final} is taken to be on {out} ({served.name})")
        trail.beyond = True
        trail.say("route", f"leaves this host by {out}" if out else "leaves this host")
        source = self.sender.container
        if source is not None and not went.snat and self._needs_masquerade(packet.source, out):
            owner = next((n for n in facts.networks_of(source) if n is facts.network_containing(packet.source)), None)
            if owner is not None:
                trail.stop(
                    "filter",
                    NoMasquerade(container=source, network=owner, source=packet.source),
                    f"leaves as {packet.source}: no masquerade for {owner.name}",
                )

    def _taken_first(self, packet: Packet, went: Journey) -> bool:
        """A rule that is not Docker's translates what was sent to a published port, and not to that container."""
        made = went.dnat
        if made is None or is_docker_rule(made.rule, tuple(self.facts.bridges)):
            return False
        published = self._published_at(packet.destination, packet.dport or 0)
        address, port = made.address or packet.destination, made.port or packet.dport or 0
        if published is None:
            return False
        container, mapping = published
        if any(address in (e.ipv4, e.ipv6) for e in self.facts.endpoints(container)) and port == mapping.port:
            return False
        holder = self.facts.holder(address)
        stage = next((s for s in went.stages if s.decision.translation is made), None)
        decision = stage.decision if stage else Decision(verdict="accept", rule=made.rule, translation=made)
        self.trail.published = mapping
        self.trail.container = container
        self.trail.stop(
            "mapping",
            TranslatedElsewhere(
                decision=decision,
                address=address,
                port=port,
                container=container,
                holder=holder[0] if holder else None,
                proven=True,
            ),
            f"{describe(made.rule)} takes it to {address}:{port} before Docker's DNAT",
        )
        return True

    def _stale_flow(self, packet: Packet) -> bool:
        """A UDP flow that connection tracking still leads where the container was, or past the DNAT (see `StaleFlow`)."""
        conntrack = self.facts.host.conntrack if self.facts.host else None
        if self.protocol != "udp" or conntrack is None or not conntrack.entries:
            return False
        published = self._published_at(packet.destination, packet.dport or 0)
        if published is None:
            return False
        container, mapping = published
        good = {a for e in self.facts.endpoints(container) for a in (e.ipv4, e.ipv6)}
        stack = self.facts.stack
        listener = best_listener(stack.listeners if stack else None, packet.destination, mapping.host_port, "udp")
        # without docker-proxy, dockerd itself holds the port and reads nothing from it
        proxied = listener is not None and not (listener.process and listener.process.name == "dockerd")
        for entry in conntrack.entries:
            if (entry.destination, entry.dport) != (packet.destination, mapping.host_port) or entry.replied:
                continue
            if entry.reply_source in good or (entry.reply_source == entry.destination and proxied):
                continue
            if self.sender.outside is self.facts.is_own(entry.source):
                continue
            self.trail.published, self.trail.container = mapping, container
            self.trail.stop(
                "mapping",
                StaleFlow(container=container, published=mapping, entry=entry, proven=True),
                f"a tracked flow of {entry.source}:{entry.sport} still goes to {entry.reply_source}",
            )
            return True
        return False

    def _answer_dropped(self, went: Journey, stack: NetworkStack) -> bool:
        """The rules may let the packet in and not its answer out."""
        if went.destiny not in ("forward", "local") or self.facts.rulesets is None:
            return False
        if went.packet.source in ("0.0.0.0", "::"):
            return False
        if self.sender.container and not went.snat and self._needs_masquerade(went.packet.source, went.packet.out_interface):
            return False  # nobody answers that: see NoMasquerade
        answer = reply_to(went)
        back = journey(self.facts.rulesets, answer, self._context(stack, answer.in_interface, {}))
        if back.verdict not in ("drop", "reject") or back.decision is None:
            return False
        self._dropped("host", back.decision, back.packet, direction="reply")
        return True

    def _not_hairpinned(self, stack: NetworkStack, packet: Packet, went: Journey) -> bool:
        """What a published port needs of the kernel where no docker-proxy stands in (userland-proxy=false)."""
        published = self._published_at(packet.destination, packet.dport or 0) if went.dnat else None
        out = went.packet.out_interface
        if published is None or out not in self.facts.bridges or packet.family == 6:
            return False
        container, mapping = published
        hint: Literal["", "route-localnet", "hairpin", "bridge-netfilter"] = ""
        if packet.in_interface is None and packet.destination.startswith("127."):
            values = {stack.sysctls.get(f"net.ipv4.conf.{name}.route_localnet") for name in ("all", out)}
            hint = "route-localnet" if "1" not in values and values != {None} else ""
        elif packet.in_interface == out:
            hint = self._needs_of_bridge(stack, container, went)
        if not hint:
            return False
        said = {
            "route-localnet": f"net.ipv4.conf.{out}.route_localnet = 0: nothing from 127.0.0.1 goes out by {out}",
            "hairpin": f"the bridge port of {container.name} does not send back what came from it (hairpin off)",
            "bridge-netfilter": f"answers of {container.name} go past the DNAT: bridge-nf-call-iptables is off",
        }
        self.trail.published, self.trail.container = mapping, container
        self.trail.stop(
            "mapping",
            NotTranslated(container=container, published=mapping, proxy=False, dnat=True, hint=hint, proven=True),
            said[hint],
        )
        return True

    def _needs_of_bridge(
        self, stack: NetworkStack, container: Container, went: Journey
    ) -> Literal["", "hairpin", "bridge-netfilter"]:
        sender = self.sender.container
        if sender is None:
            return ""
        filtered = stack.sysctls.get("net.bridge.bridge-nf-call-iptables") == "1"
        if self.facts.namespace_owner(sender) is not self.facts.namespace_owner(container):
            return "" if filtered or went.snat else "bridge-netfilter"
        inner = self.facts.stack_of(sender)
        outer = [h for link in (inner.links if inner else ()) if (h := self.facts.host_side(link)) and h.master]
        off = any(h.hairpin is False and h.master == went.packet.out_interface for h in outer)
        return "hairpin" if off and (filtered or not went.snat) else ""

    def _deliver_locally(self, packet: Packet, final: str, port: int) -> None:
        """To a process of the host: docker-proxy, which dials the container itself, or any other listener."""
        facts, trail = self.facts, self.trail
        published = self._published_at(final, port)
        listener = best_listener(facts.stack.listeners if facts.stack else None, final, port, self.protocol)
        if published and (listener is None or _is_proxy(listener)):
            container, mapping = published
            if listener is None:
                if facts.stack is not None and facts.stack.listeners is None:
                    trail.doubt("mapping", "listeners of the host could not be read")
                else:
                    trail.published = mapping
                    trail.container = container
                    trail.stop(
                        "mapping",
                        self._not_translated(container, mapping, packet),
                        f"neither a DNAT rule nor docker-proxy takes {final}:{port}",
                    )
                    return
            trail.published = mapping
            trail.say("mapping", f"docker-proxy to {container.name}:{mapping.port}")
            self._proxy_leg(container, mapping, final)
            return
        if listener is not None:
            owner = self._host_mode_owner(listener)
            trail.say("listener", f"{listener.address}:{listener.port} on the host")
            trail.container, trail.port = owner, port
            return
        listeners = facts.stack.listeners if facts.stack else None
        if listeners is None:
            trail.doubt("listener", "listeners of the host could not be read")
            return
        elsewhere, others = _sorted_listeners(listeners, port, self.protocol)
        trail.stop(
            "listener",
            NothingListens(
                container=None, address=final, port=port, protocol=self.protocol, elsewhere=elsewhere, others=others
            ),
            _listens_text("the host", elsewhere, port),
        )

    def _proxy_leg(self, container: Container, mapping: PublishedPort, dialled: str) -> None:
        """docker-proxy dials the container's address from the host."""
        self.legs += 1
        family = 6 if ":" in dialled else 4
        endpoints = [e for e in self.facts.endpoints(container) if e.ipv4 or e.ipv6]
        bridged = [e for e in endpoints if (n := self.facts.network_of(e)) and n.driver == "bridge" and not n.internal]
        chosen = next(iter(bridged or endpoints), None)
        address = chosen and ((chosen.ipv6 if family == 6 and chosen.ipv6 else None) or chosen.ipv4 or chosen.ipv6)
        if not address or self.legs > 2 or self.facts.stack is None:
            self._arrive(container, chosen, None, address or "", mapping.port)
            return
        found = lookup(self.facts.stack, address)
        if found.kind != "unicast":
            self._no_route("host", address, found, container)
            return
        self.trail.backend = (address, mapping.port)
        packet = self._packet(found.source or "", address, mapping.port, 6 if ":" in address else 4)
        saved, self.sender = self.sender, Sender()
        self._through_host(packet, in_interface=None)
        self.sender = saved

    # --- onto a network and to its member

    def _onto_network(
        self,
        source: Container,
        network: Network,
        link: Link,
        address: str,
        port: int,
        origin: str,
        *,
        gateway: str | None,
    ) -> None:
        facts = self.facts
        if network.driver not in BRIDGED:
            self._onto_other_driver(source, network, address, port, gateway)
            return
        family = 6 if ":" in address else 4
        if self._bridge_broken(network, needs_address=False) or self._veth_broken(source, link, network):
            return
        if gateway is not None and self._bridge_broken(network, family=family):
            return
        self.trail.say("link", f"{link.name} on {network.bridge or network.name}")
        if gateway is None and not facts.is_own(address):
            if self._bridged_drop(network, address, port, origin):
                return
            self.to_member(network, address, port, origin)
            return
        if self._answers_bypass(source, network, origin, address):
            return
        packet = self._packet(origin, address, port, family)
        self._through_host(packet, in_interface=network.bridge)

    def _answers_bypass(self, source: Container, network: Network, origin: str, address: str) -> bool:
        """What comes back for the container does not go to its bridge."""
        stack = self.facts.stack
        if stack is None or not origin or not network.bridge:
            return False
        there = lookup(stack, address, source=origin, in_interface=network.bridge)
        if there.kind not in ("unicast", "local") and there.rule and (there.rule.source or there.rule.in_interface):
            self.trail.stop(
                "route",
                RouteElsewhere(
                    where="host",
                    destination=address,
                    expected="the way of this host",
                    taken=there.kind,
                    because=rule_text(there.rule),
                    rule=there.rule,
                    network=network,
                    container=source,
                    proven=True,
                ),
                f"the rule {rule_text(there.rule)} leads what {source.name} sends nowhere",
            )
            return True
        came = None if there.kind == "local" else there.link
        back = lookup(stack, origin, source=address, in_interface=came)
        return back.kind == "unicast" and back.link != network.bridge and self._bypassed(network, origin, back.link or "", back)

    def _onto_other_driver(self, source: Container, network: Network, address: str, port: int, gateway: str | None) -> None:
        facts, trail = self.facts, self.trail
        own = self._endpoint_of(source, network)
        if network.driver in ON_PARENT and facts.is_own(address) and not (own and own.ipv4 and self._by_shim(own.ipv4)):
            trail.stop(
                "network",
                IsolatedFromHost(container=source, network=network),
                f"{network.driver} {network.name}: its members cannot talk to their own host",
            )
            return
        holder = facts.holder(address)
        if network.driver in ON_PARENT and facts.is_own(address):
            self._through_host(self._packet("", address, port, 6 if ":" in address else 4), in_interface=None)
            return
        if gateway is None and holder is not None:
            self.to_member(network, address, port, "")
            return
        if network.driver == "overlay" and gateway is not None:
            packet = self._packet("", address, port, 6 if ":" in address else 4)
            self._through_host(packet, in_interface="docker_gwbridge")
            return
        trail.say("route", f"leaves by the {network.driver} network {network.name}")
        trail.beyond = True

    def _by_shim(self, address: str) -> bool:
        """Whether the host itself goes to the address by a macvlan of its own, not by their common parent."""
        stack = self.facts.stack
        link = self.facts.link(lookup(stack, address).link) if stack else None
        return link is not None and link.kind in ON_PARENT

    def _endpoint_of(self, container: Container, network: Network) -> Endpoint | None:
        return next((e for e in self.facts.endpoints(container) if self.facts.network_of(e) is network), None)

    def to_member(self, network: Network, address: str, port: int, origin: str) -> None:
        facts, trail = self.facts, self.trail
        trail.network = trail.network or network
        holder = facts.holder(address)
        if holder is None:
            remote = next((m for m in network.members if m.ipv4 and m.ipv4.split("/")[0] == address), None)
            if remote is not None or network.driver not in BRIDGED:
                trail.beyond = True
                trail.say("route", f"{address} is on another host of {network.name}")
                return
            gateways = {s.gateway for s in network.subnets}
            if address in gateways:
                trail.doubt("route", f"{address} is the gateway of {network.name}, which this host does not hold")
                return
            if self._swallowed(network, address):
                return
            trail.stop(
                "network",
                AddressOfNobody(address=address, network=network, proven=True),
                f"no running container has {address} on {network.name}",
            )
            return
        target, endpoint = holder
        actual = facts.network_of(endpoint)
        if actual is not None and actual.driver in BRIDGED and self._target_link_broken(target, endpoint, actual):
            return
        if self._host_entry_stale(target, endpoint, network, origin):
            return
        self._arrive(target, endpoint, origin or None, address, port)

    def _swallowed(self, network: Network, address: str) -> bool:
        """An address of a Docker subnet that no container has, and that is another machine's by all that the host knows."""
        stack = self.facts.stack
        other = covering(stack, address, but=self.facts.bridges) if stack else None
        ip = ipaddress.ip_address(address)
        if other is None and any(ip in net for net in PRIVATE if net.version == ip.version):
            return False
        self.trail.stop(
            "route",
            SubnetOverlaps(
                address=address,
                network=network,
                link=(other.link or "") if other else "",
                because=route_text(other) if other else "",
                proven=other is not None,
            ),
            f"{address} is taken to be on {network.bridge or network.name} ({network.name})",
        )
        return True

    def _arrive(self, target: Container, endpoint: Endpoint | None, origin: str | None, address: str, port: int) -> None:
        """In the target's namespace: its own rules, its listener, and the way back."""
        facts, trail = self.facts, self.trail
        trail.container, trail.port, trail.endpoint = target, port, endpoint
        if not target.state.running:
            trail.stop("target", NotRunning(container=target, proven=True), f"{target.name} is {target.state.status}")
            return
        if target.state.paused:
            trail.stop("target", Paused(container=target, proven=True), f"{target.name} is paused")
            return
        stack = facts.stack_of(target)
        if stack is None:
            trail.doubt("listener", f"the inside of {target.name} could not be read")
            return
        if origin and endpoint and self._target_refuses(target, stack, origin, address, port):
            return
        self._listener(target, stack, address, port)

    def _listener(self, target: Container, stack: NetworkStack, address: str, port: int) -> None:
        trail = self.trail
        if stack.listeners is None:
            trail.doubt("listener", f"listeners of {target.name} could not be read")
            return
        found = best_listener(stack.listeners, address, port, self.protocol)
        if found is not None:
            trail.say("listener", f"{_at(found)} in {target.name}")
            return
        if lost := self._lost_listener(target, port):
            trail.stop("listener", NamespaceLost(container=lost, owner=target, proven=True), f"{lost.name} lost {target.name}")
            return
        elsewhere, others = _sorted_listeners(stack.listeners, port, self.protocol)
        trail.stop(
            "listener",
            NothingListens(
                container=target,
                address=address,
                port=port,
                protocol=self.protocol,
                elsewhere=elsewhere,
                others=others,
                published=trail.published,
                proven=True,
            ),
            _listens_text(target.name, elsewhere, port),
        )

    def _lost_listener(self, target: Container, port: int) -> Container | None:
        """A container that shared the target's namespace, listens on the port, and is in a namespace of its past now."""
        facts = self.facts
        for other in facts.running:
            listens = (
                other.network_mode == f"container:{target.id}"
                and facts.namespace_lost(other)
                and any(li.port == port for li in facts.listeners(other, self.protocol) or ())
            )
            if listens:
                return other
        return None

    def _target_refuses(self, target: Container, stack: NetworkStack, origin: str, address: str, port: int) -> bool:
        """The sandbox's own rules, and whether it has a way back to `origin`."""
        trail = self.trail
        family = 6 if ":" in address else 4
        here = next((a.link for a in stack.addresses if a.address == address), None)
        packet = _replace(self._packet(origin, address, port, family), in_interface=here or "eth0")
        if self._sandbox_drops(target, packet, incoming=True):
            return True
        same_family = (":" in origin) == (":" in address)
        if not same_family or target.network_mode == "host":
            return False
        back = lookup(stack, origin)
        if back.kind not in ("unicast", "local"):
            trail.stop(
                "route",
                NoRoute(where=target.name, destination=origin, kind=back.kind, container=target),
                f"{target.name} has no route back to {origin}",
            )
            return True
        return self._reply_ruled_away(target, address, origin) or self._reply_goes_elsewhere(target, address)

    def _reply_ruled_away(self, target: Container, address: str, origin: str) -> bool:
        """A policy rule for what containers send (a VPN's) takes their answers to other machines, too."""
        stack, network = self.facts.stack, self.facts.network_containing(address)
        if not self.sender.outside or stack is None or network is None or not network.bridge:
            return False
        reply = lookup(stack, origin, source=address, in_interface=network.bridge)
        rule = reply.rule
        if rule is None or not (rule.source or rule.in_interface) or reply.kind == "local" or reply.link == self.uplink:
            return False
        taken = reply.link or reply.kind
        self.trail.stop(
            "route",
            RouteElsewhere(
                where="host",
                destination=origin,
                expected=self.uplink,
                taken=taken,
                because=rule_text(rule),
                rule=rule,
                reply=True,
                network=network,
                container=target,
                proven=True,
            ),
            f"answers of {target.name} to {origin} leave by {taken}, not by {self.uplink}",
        )
        return True

    def _reply_goes_elsewhere(self, target: Container, address: str) -> bool:
        """On a multi-homed host with policy routing: the host answers by one uplink, its containers by another."""
        facts, trail = self.facts, self.trail
        if not self.sender.outside or facts.stack is None or len(facts.stack.rules) <= 3:
            return False
        network = facts.network_containing(address)
        if network is None or not network.bridge:
            return False
        family = 6 if ":" in address else 4
        client = ANYWHERE[family]
        reply = lookup(facts.stack, client, source=address, in_interface=network.bridge)
        hosts_way = lookup(facts.stack, client, source=self.dialled)
        if hosts_way.kind != "unicast" or not hosts_way.rule or not hosts_way.rule.source or reply.link == hosts_way.link:
            return False
        trail.stop(
            "route",
            RouteElsewhere(
                where="host",
                destination=client,
                expected=hosts_way.link or "",
                taken=reply.link or "",
                because=rule_text(hosts_way.rule),
                reply=True,
                network=network,
                container=target,
            ),
            f"replies of {target.name} leave by {reply.link}, those of the host by {hosts_way.link}",
        )
        return True

    # --- what can be broken on the way

    def _own_links_broken(self, source: Container, stack: NetworkStack, found: Lookup, address: str) -> bool:
        """The container's own interface on this way: gone, down, or without its address."""
        facts = self.facts
        endpoints = [e for e in facts.endpoints(source) if e.ipv4 or e.ipv6]
        physical = [link for link in stack.links if link.name != "lo" and link.kind not in ("ipip", "sit", "gre", "tunl")]
        if not physical and (not endpoints or source.network_mode.startswith("container:")):
            self.trail.stop("network", NoNetwork(container=source, proven=True), f"{source.name} has no interface but lo")
            return True
        served = facts.network_containing(address)
        on_way = [e for e in endpoints if served is not None and facts.network_of(e) is served]
        if not on_way and found.kind == "unicast":
            on_way = [e for e in endpoints if (li := facts.sandbox_link(source, e)) and li.name == found.link]
        return any(self._endpoint_broken(source, stack, e) for e in on_way or endpoints)

    def _endpoint_broken(self, container: Container, stack: NetworkStack, endpoint: Endpoint) -> bool:
        return self._stopped_by(endpoint_problem(self.facts, container, stack, endpoint))

    def _stopped_by(self, problem: tuple[LinkBroken, str] | None) -> bool:
        if problem is None:
            return False
        self.trail.stop("link", *problem)
        return True

    def _leaves(self, source: Container, stack: NetworkStack, found: Lookup, address: str) -> bool:
        facts, trail = self.facts, self.trail
        if found.kind == "unicast":
            return True
        networks = facts.networks_of(source)
        default = any(r.destination in ("0.0.0.0/0", "::/0") for r in stack.routes)
        if found.kind == "none" and networks and not default and all(n.internal for n in networks):
            trail.stop(
                "network",
                NoEgress(container=source, networks=networks, proven=True),
                f"{source.name} is on internal networks only",
            )
            return False
        if found.kind == "none" and ":" in address and networks and not any(n.ipv6 for n in networks):
            trail.stop(
                "network",
                NoAddressOfFamily(container=source, network=networks[0], family=6, proven=True),
                f"no network of {source.name} has IPv6",
            )
            return False
        self._no_route(source.name, address, found, source)
        return False

    def _no_route(self, where: str, address: str, found: Lookup, container: Container | None) -> None:
        network = self.facts.network_containing(address) if where == "host" else None
        if network and network.driver in BRIDGED and self._bridge_broken(network, family=6 if ":" in address else 4):
            return
        kind = found.kind if found.kind in ("unreachable", "blackhole", "prohibit") else "none"
        self.trail.stop(
            "route",
            NoRoute(where=where, destination=address, kind=kind, container=container, proven=True),
            f"{where} has no route to {address}" if kind == "none" else f"{where}: {kind} route to {address}",
        )

    def _veth_broken(self, container: Container, link: Link, network: Network) -> bool:
        return self._stopped_by(veth_problem(self.facts, container, link, network))

    def _bridge_broken(self, network: Network, *, needs_address: bool = True, family: int = 4) -> bool:
        return self._stopped_by(bridge_problem(self.facts, network, needs_address=needs_address, family=family))

    def _target_link_broken(self, target: Container, endpoint: Endpoint, network: Network) -> bool:
        stack = self.facts.stack_of(target)
        if stack is None or target.network_mode == "host":
            return False
        if target.network_mode.startswith("container:") and not any(li.name != "lo" for li in stack.links):
            self.trail.stop("network", NoNetwork(container=target, proven=True), f"{target.name} has no interface but lo")
            return True
        if self._endpoint_broken(target, stack, endpoint):
            return True
        link = self.facts.sandbox_link(target, endpoint)
        return link is not None and self._veth_broken(target, link, network)

    def _stale(self, stack: NetworkStack, where: str, next_hop: str, link: str | None, network: Network | None) -> bool:
        """A neighbour entry that names another MAC than that of the endpoint, or of the bridge that is the gateway."""
        entry = next((n for n in stack.neighbours if n.address == next_hop and n.mac and n.link == link), None)
        holder = self.facts.holder(next_hop)
        actual = mac_of(self.facts, next_hop, network)
        if entry is None or not actual or entry.mac == actual:
            return False
        self.trail.stop(
            "link",
            StaleNeighbour(
                where=where,
                address=next_hop,
                known=entry.mac or "",
                actual=actual,
                link=entry.link,
                container=holder[0] if holder else None,
                proven=True,
            ),
            f"{where} believes {next_hop} is at {entry.mac}; it is at {actual}",
        )
        return True

    def _host_entry_stale(self, target: Container, endpoint: Endpoint, network: Network, origin: str) -> bool:
        """The same on the host, for what the host itself sends or forwards onto the bridge."""
        facts = self.facts
        if facts.stack is None or (origin and facts.network_containing(origin) is network and not facts.is_own(origin)):
            return False
        addresses = [a for a in (endpoint.ipv4, endpoint.ipv6) if a and (not origin or (":" in a) == (":" in origin))]
        return target.state.running and any(
            self._stale(facts.stack, "host", address, network.bridge, network) for address in addresses
        )

    def _sandbox_drops(self, container: Container, packet: Packet, *, incoming: bool = False) -> bool:
        """Rules in the container's own namespace."""
        stack = container.sandbox.stack if container.sandbox else None
        rulesets = self.facts.sandbox_rulesets(container)
        if stack is None or not rulesets:
            return False
        kind: Literal["local", "forward"] = "local" if incoming else "forward"
        out = None if incoming else packet.out_interface

        def route(_packet: Packet) -> PacketRoute:
            return PacketRoute(kind=kind, out_interface=out)

        context = Context(locality=locality({a.address for a in stack.addresses}), route=route)
        went = journey(rulesets, packet, context)
        if went.verdict in ("drop", "reject") and went.decision:
            self._dropped(container.name, went.decision, went.packet)
            return True
        if went.verdict == "unknown":
            self.trail.doubt("filter", f"rules inside {container.name} cannot be decided")
            return False
        answer = _replace(reply_to(went), in_interface=None if incoming else out)
        way = PacketRoute(kind="forward" if incoming else "local", out_interface=packet.in_interface if incoming else None)
        back = journey(rulesets, answer, Context(locality=context.locality, route=lambda _packet: way))
        if back.verdict in ("drop", "reject") and back.decision:
            self._dropped(container.name, back.decision, back.packet, direction="reply")
            return True
        return False

    def _bridged_drop(self, network: Network, address: str, port: int, origin: str) -> bool:
        """Two members of one bridge: iptables sees it only where br_netfilter hands it over."""
        facts = self.facts
        family = 6 if ":" in address else 4
        if facts.stack is None or facts.rulesets is None:
            self.trail.doubt("filter", "the host's firewall rules could not be read")
            return False
        key = "net.bridge.bridge-nf-call-iptables" if family == 4 else "net.bridge.bridge-nf-call-ip6tables"
        if facts.sysctl(key) != "1":
            self.trail.say("filter", f"not filtered: {key} is off")
            return False
        packet = self._packet(
            origin, address, port, family, in_interface=network.bridge, out_interface=network.bridge, bridged=True
        )

        def route(_packet: Packet) -> PacketRoute:
            return PacketRoute(kind="forward", out_interface=network.bridge)

        went = journey(facts.rulesets, packet, self._context(facts.stack, network.bridge, {}, route=route))
        self._note_filter(went)
        if went.verdict in ("drop", "reject") and went.decision:
            self._dropped("host", went.decision, went.packet, network)
            return True
        if went.verdict == "unknown":
            self.trail.doubt("filter", "a rule of the host cannot be decided")
            self.trail.undecided = went.decision
            return False
        answer = _replace(reply_to(went), in_interface=network.bridge, out_interface=network.bridge)
        back = journey(facts.rulesets, answer, self._context(facts.stack, network.bridge, {}, route=route))
        if back.verdict in ("drop", "reject") and back.decision:
            self._dropped("host", back.decision, back.packet, network, direction="reply")
            return True
        return False

    def _dropped(
        self,
        where: str,
        decision: Decision,
        packet: Packet,
        network: Network | None = None,
        *,
        direction: Literal["request", "reply"] = "request",
    ) -> None:
        if decision.rule is not None:
            rule = describe(decision.rule)
        elif decision.chain is not None:
            rule = describe_policy(decision.chain)
        else:
            rule = decision.verdict
        verb = "rejects" if decision.verdict == "reject" else "drops"
        what = "it" if direction == "request" else "the answer to it"
        holder = self.facts.holder(self.dialled) if where == "host" and self.sender.outside else None
        if holder and (decision.rule is None or is_docker_rule(decision.rule, tuple(self.facts.bridges))):
            direct = DirectlyDialled(container=holder[0], address=self.dialled, decision=decision)
            self.trail.stop("filter", direct, f"{rule} {verb} what other machines send to {self.dialled} itself")
            return
        self.trail.stop(
            "filter",
            Dropped(
                where=where,
                decision=decision,
                direction=direction,
                packet=packet_text(packet),
                network=network or self.trail.network,
            ),
            f"{rule} {verb} {what}" if where == "host" else f"inside {where}, {rule} {verb} {what}",
        )

    def _note_filter(self, went: Journey) -> None:
        if went.verdict == "accept":
            rule = next((s.decision.rule for s in reversed(went.stages) if s.table == "filter" and s.decision.rule), None)
            self.trail.say("filter", f"accepted by {describe(rule)}" if rule else "accepted")

    def _forwarding_off(self, stack: NetworkStack, in_interface: str | None, packet: Packet) -> bool:
        if in_interface is None:
            return False
        if packet.family == 4:
            keys: tuple[str, ...] = (f"net.ipv4.conf.{in_interface}.forwarding", "net.ipv4.ip_forward")
        else:
            keys = ("net.ipv6.conf.all.forwarding",)
        value = next(((key, stack.sysctls[key]) for key in keys if key in stack.sysctls), None)
        if value is None or value[1] != "0":
            return False
        whole = stack.sysctls.get("net.ipv4.ip_forward") == "0" and packet.family == 4
        key = "net.ipv4.ip_forward" if whole else value[0]
        self.trail.stop("filter", ForwardingOff(sysctl=key, value="0", proven=True), f"{key} = 0: nothing is forwarded")
        return True

    def _reverse_filtered(self, stack: NetworkStack, packet: Packet, in_interface: str | None, final: str) -> bool:
        """rp_filter: the larger of `all` and the interface's own; 1 is strict, 2 loose (ip-sysctl)."""
        if in_interface is None or packet.family == 6 or not packet.source:
            return False
        values = [stack.sysctls.get(f"net.ipv4.conf.{name}.rp_filter", "0") for name in ("all", in_interface)]
        if max(values) != "1":
            return False
        # the kernel asks with the addresses as they are after DNAT
        back = lookup(stack, packet.source, source=final)
        if back.kind == "unicast" and back.link != in_interface:
            self.trail.stop(
                "route",
                ReverseFiltered(sysctl=f"net.ipv4.conf.{in_interface}.rp_filter", interface=in_interface, source=packet.source),
                f"strict rp_filter on {in_interface} drops packets from {packet.source}, answered by {back.link}",
            )
            return True
        return False

    def _needs_masquerade(self, address: str, out: str | None) -> bool:
        network = self.facts.network_containing(address)
        return network is not None and network.driver in BRIDGED and out is not None and out not in self.facts.bridges

    def _elsewhere(
        self, where: str, address: str, expected: str, taken: str, route: Lookup | None, network: Network
    ) -> Obstacle:
        because, rule = "", route.rule if route else None
        if route and route.route:
            because = route_text(route.route)
            if route.rule and route.rule.priority not in (0, 32766, 32767):
                because = f"{rule_text(route.rule)}: {because}"
        holder = self.facts.holder(address)
        return RouteElsewhere(
            where=where,
            destination=address,
            expected=expected,
            taken=taken,
            because=because,
            rule=rule if rule and rule.priority not in (0, 32766, 32767) else None,
            network=network,
            container=holder[0] if holder else None,
            proven=True,
        )

    # --- small questions

    def _published_at(self, address: str, port: int) -> tuple[Container, PublishedPort] | None:
        return next((found for found in self.facts.published_on(port, self.protocol) if binds(found[1].host_ip, address)), None)

    def _not_translated(self, container: Container, mapping: PublishedPort, packet: Packet) -> Obstacle:
        facts = self.facts
        dnat = any(
            rule.text.endswith(f":{mapping.port}") and f"--dport {mapping.host_port}" in rule.text
            for ruleset in facts.rulesets or ()
            for rule in ruleset.rules("nat", "DOCKER")
        )
        proxies = any(
            listener.port == p.host_port
            for listener in (facts.stack.listeners or () if facts.stack else ())
            for c in facts.running
            for p in c.ports
        )
        return NotTranslated(
            container=container,
            published=mapping,
            proxy=False,
            dnat=dnat,
            hint="rules-gone" if not dnat else "proxy-dead" if proxies or packet.in_interface is None else "",
            proven=True,
        )

    def _host_mode_owner(self, listener: Listener) -> Container | None:
        process = listener.process
        return self.facts.container(process.container) if process and process.container else None

    def _endpoint_on(self, container: Container, stack: NetworkStack, link: str | None) -> Endpoint | None:
        here = {a.address for a in stack.addresses if a.link == link}
        macs = {li.mac for li in stack.links if li.name == link}
        for endpoint in self.facts.endpoints(container):
            if {endpoint.ipv4, endpoint.ipv6} & here or endpoint.mac in macs:
                return endpoint
        return None

    def _way_out_of_overlays(self, stack: NetworkStack, link: str | None) -> Network | None:
        """`docker_gwbridge`, by which members of overlay networks reach the world, and of which no endpoint is listed."""
        network = self.facts.networks.get("docker_gwbridge")
        here = (a.address for a in stack.addresses if a.link == link)
        return network if network and any(self.facts.network_containing(a) is network for a in here) else None

    def _packet(self, source: str, destination: str, port: int, family: int, **more: object) -> Packet:
        return Packet(
            family=family,  # type: ignore[arg-type]
            protocol=self.protocol,
            source=source or ("0.0.0.0" if family == 4 else "::"),
            destination=destination,
            dport=port,
            **more,  # type: ignore[arg-type]
        )

    def _context(self, stack: NetworkStack, in_interface: str | None, seen: dict[str, Lookup], route: object = None) -> Context:
        facts = self.facts

        def decide(packet: Packet) -> PacketRoute:
            source = None if in_interface is None else packet.source
            found = lookup(stack, packet.destination, source=source, in_interface=in_interface, mark=packet.mark)
            seen[packet.destination] = found
            if found.kind == "local":
                return PacketRoute(kind="local", out_interface="lo" if in_interface is None else None)
            if found.kind != "unicast":
                return PacketRoute(kind="none")
            return PacketRoute(kind="forward", out_interface=found.link)

        def address_of(interface: str, family: int) -> str | None:
            return next((a.address for a in stack.addresses if a.link == interface and a.family == family), None)

        ipsets_known = stack.firewall is not None
        return Context(
            locality=facts.locality,
            route=route or decide,  # type: ignore[arg-type]
            interface_address=address_of,
            ipsets=facts.ipsets,
            ipsets_known=ipsets_known,
        )

    # --- without the kernel's own state: what the API alone tells

    def _by_inspection(self, address: str, port: int) -> None:
        trail, facts = self.trail, self.facts
        if published := self._published_at(address, port):
            container, mapping = published
            trail.published = mapping
            trail.say("mapping", f"{mapping.host_ip}:{mapping.host_port} → {mapping.port}/{mapping.protocol}")
            endpoint = next(iter(facts.endpoints(container)), None)
            self._arrive(container, endpoint, None, (endpoint.ipv4 if endpoint else None) or address, mapping.port)
        elif holder := facts.holder(address):
            self._arrive(holder[0], holder[1], None, address, port)
        elif (network := facts.network_containing(address)) and network.driver == "bridge":
            if address not in {s.gateway for s in network.subnets}:
                trail.stop(
                    "network",
                    AddressOfNobody(address=address, network=network, proven=True),
                    f"no running container has {address} on {network.name}",
                )
        else:
            trail.beyond = not facts.is_own(address)
            if not trail.beyond:
                trail.doubt("listener", "listeners of the host could not be read")

    def _from_container_by_inspection(self, source: Container, address: str, port: int) -> None:
        facts, trail = self.facts, self.trail
        networks = facts.networks_of(source)
        holder = facts.holder(address)
        if holder and facts.network_of(holder[1]) in networks:
            self._arrive(holder[0], holder[1], None, address, port)
        elif not [n for n in networks if n.driver != "null"]:
            trail.stop("network", NoNetwork(container=source, proven=True), f"{source.name} has no network")
        elif networks and all(n.internal for n in networks):
            trail.stop(
                "network",
                NoEgress(container=source, networks=networks, proven=True),
                f"{source.name} is on internal networks only",
            )
        else:
            self._by_inspection(address, port)


def best_listener(listeners: tuple[Listener, ...] | None, address: str, port: int, protocol: Protocol) -> Listener | None:
    """The socket that takes a packet for this address and port: the exact address before the wildcard."""
    matching = [li for li in listeners or () if li.port == port and li.protocol == protocol and listens_at(li, address)]
    return min(matching, key=lambda li: li.address in ("0.0.0.0", "::"), default=None)


def listens_at(listener: Listener, address: str) -> bool:
    """Whether the socket takes packets for `address` (a dual-stack "::" takes IPv4 too)."""
    if listener.address in (address, f"::ffff:{address}"):
        return True
    if ":" in address:
        return listener.address == "::"
    return listener.address == "0.0.0.0" or (listener.address == "::" and not listener.v6only)


def mac_of(facts: HostFacts, address: str, network: Network | None) -> str:
    """The MAC that the address has now: of the interface in the holder's sandbox, else of its endpoint; or of the bridge."""
    holder = facts.holder(address)
    if holder is not None:
        link = facts.sandbox_link(*holder)
        return (link.mac if link else "") or holder[1].mac
    bridge = facts.bridge(network) if network and network.driver in BRIDGED else None
    here = {a.address for a in facts.stack.addresses if bridge and a.link == bridge.name} if facts.stack else set()
    return bridge.mac if bridge and address in here else ""


def binds(host_ip: str, address: str) -> bool:
    """Whether a port published on `host_ip` takes what is sent to the host's `address`."""
    if host_ip in ("", address):
        return True
    return host_ip == ("::" if ":" in address else "0.0.0.0")


def packet_text(packet: Packet) -> str:
    """For people: `tcp 10.0.0.9 → 172.17.0.2:80, eth1 → docker0`."""
    port = f":{packet.dport}" if packet.dport else ""
    destination = f"[{packet.destination}]" if ":" in packet.destination and port else packet.destination
    way = f", {packet.in_interface or 'host'} → {packet.out_interface or 'host'}"
    return f"{packet.protocol} {packet.source} → {destination}{port}{way}"


def _sorted_listeners(
    listeners: tuple[Listener, ...], port: int, protocol: Protocol
) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
    visible = [li for li in listeners if li.address != "127.0.0.11"]
    same = tuple(li for li in visible if li.port == port and li.protocol == protocol)
    return same, tuple(li for li in visible if li not in same)


def _listens_text(where: str, elsewhere: tuple[Listener, ...], port: int) -> str:
    if elsewhere:
        return f"{where} listens at {', '.join(sorted({_at(li) for li in elsewhere}))} only"
    return f"nothing listens on port {port} in {where}"


def _at(listener: Listener) -> str:
    return f"[{listener.address}]:{listener.port}" if ":" in listener.address else f"{listener.address}:{listener.port}"


def _is_proxy(listener: Listener) -> bool:
    return (
        listener.process is None
        or listener.process.name.startswith("docker-proxy")
        or (listener.process.name in ("dockerd", "rootlesskit", "rootlessport"))
    )


def _replace(packet: Packet, **changes: object) -> Packet:
    from msgspec.structs import replace

    return replace(packet, **changes)


def _free_address(stack: NetworkStack, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    taken = {a.address for a in stack.addresses}
    some = (str(subnet[number]) for number in range(1, min(20, subnet.num_addresses)))
    return next((address for address in some if address not in taken), "")
