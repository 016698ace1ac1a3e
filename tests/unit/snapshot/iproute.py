"""What `ip -N -json` and `ss` print, as the records that the kernel readers make of the kernel's own answers."""

from __future__ import annotations

import re
from typing import Any

from dockernet_doctor.snapshot.model import Address, Family, Link, Listener, Neighbour, Route, RoutingRule

_SCOPES = {"0": "global", "253": "link", "254": "host"}
_KINDS = {"1": "unicast", "2": "local", "6": "blackhole", "7": "unreachable", "8": "prohibit"}
_ACTIONS = {"6": "blackhole", "7": "unreachable", "8": "prohibit"}


def links(said: dict[str, Any]) -> tuple[Link, ...]:
    indices = {link["ifname"]: link["ifindex"] for link in said["links"]}
    return tuple(_link(link, indices) for link in said["links"])


def _link(link: dict[str, Any], indices: dict[str, int]) -> Link:
    info = link.get("linkinfo", {})
    port = info.get("info_slave_data") if info.get("info_slave_kind") == "bridge" else None
    vxlan = info.get("info_data", {}) if info.get("info_kind") == "vxlan" else {}
    return Link(
        index=link["ifindex"],
        name=link["ifname"],
        kind=info.get("info_kind", ""),
        up="UP" in link["flags"],
        carrier="LOWER_UP" in link["flags"],
        mtu=link["mtu"],
        mac=link.get("address", ""),
        master=link.get("master"),
        peer_index=link.get("link_index") or indices.get(link.get("link", "")),
        hairpin=port["hairpin"] if port else None,
        isolated=port["isolated"] if port else None,
        blocked=port["state"] in ("disabled", "blocking") if port else None,
        learning=port["learning"] if port else True,
        flooded=port["flood"] if port else True,
        broadcasts=port.get("bcast_flood", True) if port else True,
        arp="NOARP" not in link["flags"],
        vxlan_id=vxlan.get("id"),
        vxlan_port=vxlan.get("port"),
    )


def addresses(said: dict[str, Any]) -> set[Address]:
    return {
        Address(
            link=link["ifname"],
            address=address["local"],
            prefix=address["prefixlen"],
            family=4 if address["family"] == "inet" else 6,
            scope=_SCOPES[address["scope"]],
        )
        for link in said["addresses"]
        for address in link["addr_info"]
    }


def routes(said: dict[str, Any]) -> set[Route]:
    """All but those of table local that repeat an address."""
    own = {address.address for address in addresses(said)}
    found = set()
    for family, name in ((4, "routes"), (6, "routes6")):
        for route in said[name]:
            repeats = route["dst"] in own or route["dst"].startswith("127.") or route["type"] not in _KINDS
            if not (route["table"] == "255" and repeats):
                found.update(_routes(route, 4 if family == 4 else 6))
    return found


def _routes(route: dict[str, Any], family: Family) -> list[Route]:
    destination = route["dst"].replace("default", "0.0.0.0/0" if family == 4 else "::/0")
    return [
        Route(
            family=family,
            destination=destination if "/" in destination else f"{destination}/{32 if family == 4 else 128}",
            link=hop.get("dev"),
            gateway=hop.get("gateway"),
            source=route.get("prefsrc"),
            table=int(route["table"]),
            metric=route.get("metric", 0),
            kind=_KINDS[route["type"]],
        )
        for hop in route.get("nexthops", [route])
    ]


def rules(said: dict[str, Any]) -> tuple[RoutingRule, ...]:
    return tuple(_rule(rule, 4 if family == 4 else 6) for family, name in ((4, "rules"), (6, "rules6")) for rule in said[name])


def _rule(rule: dict[str, Any], family: Family) -> RoutingRule:
    selectors = []
    if "uid_start" in rule:
        selectors.append(f"uidrange {rule['uid_start']}-{rule['uid_end']}")
    if "ipproto" in rule:
        selectors.append(rule["ipproto"].replace("-", " "))
    if "dport" in rule:
        selectors.append(f"dport {rule['dport']}")
    return RoutingRule(
        family=family,
        priority=rule["priority"],
        table=int(rule.get("table", 0)),
        source=None if rule["src"] == "all" else f"{rule['src']}/{rule['srclen']}",
        destination=f"{rule['dst']}/{rule['dstlen']}" if "dst" in rule else None,
        in_interface=rule.get("iif"),
        out_interface=rule.get("oif"),
        mark=int(rule["fwmark"], 16) if "fwmark" in rule else None,
        mark_mask=int(rule["fwmask"], 16) if "fwmask" in rule else None,
        action=_ACTIONS[rule["action"]] if "action" in rule else "lookup",
        inverted="not" in rule,
        suppress_prefix_length=rule.get("suppress_prefixlen"),
        selectors=tuple(selectors),
    )


def neighbours(said: dict[str, Any]) -> set[Neighbour]:
    return {
        Neighbour(
            family=6 if ":" in neighbour["dst"] else 4,
            link=neighbour["dev"],
            address=neighbour["dst"],
            mac=neighbour.get("lladdr"),
            state=neighbour["state"][0].lower(),
        )
        for neighbour in said["neighbours"]
    }


def listeners(said: dict[str, Any]) -> set[Listener]:
    """`ss` writes `*` for a socket on :: that takes IPv4 as well."""
    found = set()
    for line in said["ss"]:
        protocol, _, received, _, local, *_ = line.split()
        address, _, port = local.rpartition(":")
        address = address.strip("[]").replace("*", "::")
        inode = re.search(r"ino:(\d+)", line)
        mapped = address.startswith("::ffff:")
        found.add(
            Listener(
                protocol=protocol,
                family=4 if mapped or ":" not in address else 6,
                address=address.removeprefix("::ffff:"),
                port=int(port),
                v6only="v6only:1" in line,
                inode=int(inode.group(1)) if inode else 0,
                waiting=int(received) if protocol == "tcp" else 0,
            )
        )
    return found
