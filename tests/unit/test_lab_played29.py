"""The rules of the played 29 are those of the real one: of a recorded host, and of the engine's own golden files.

Neither is part of this project: both are looked for beside the checkout, as in netfilter/test_golden.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lab.played29 import Item, Port, ports_of, rules

Rules = dict[tuple[str, str], list[str]]
"""(table, chain or map) → its lines, sorted: their order is not compared."""

_TREE = Path(__file__).parents[2]
_FOUND = [found for above in _TREE.parents if (found := above / "shared/engine-29").is_dir()]
_GOLDEN = sorted(_FOUND[0].glob("golden/nftabler/hairpin=*.golden")) if _FOUND else []
_GOLDEN = [file for file in _GOLDEN if "wsl2" not in file.name and "snat=true" not in file.name]


def _parsed(text: str) -> Rules:
    text = re.sub(r" counter packets \d+ bytes \d+|\bcounter packets \d+ bytes \d+ | counter\b|\bcounter ", "", text)
    text = text.replace("priority dstnat", "priority -100").replace(
        '{ "eth1", "br-b04f8b82217a" }', '{ "br-b04f8b82217a", "eth1" }'
    )
    found: Rules = {}
    table = chain = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("table"):
            table = line
        elif line.startswith(("chain", "map")):
            chain = line
            found[table, chain] = []
        elif line.strip("} "):
            found[table, chain] += re.findall(r'"[^"]+" : jump [^\s,}]+', line) or [line]
    return {key: sorted(lines) for key, lines in found.items()}


@pytest.mark.skipif(not _FOUND, reason="the recorded host of 29.7.2 is not beside the checkout")
def test_rules_of_a_recorded_host() -> None:
    api: dict[str, Any] = json.loads((_FOUND[0] / "nftables/api.json").read_text())
    networks = {item["Id"]: item for path, item in api.items() if path.startswith("/networks/")}
    containers = [item for path, item in api.items() if re.fullmatch(r"/containers/[^/]+/json", path)]
    members: dict[str, list[str]] = {}
    ports: list[Port] = []
    for container in containers:
        gateways: dict[str, str] = {}
        for endpoint in container["NetworkSettings"]["Networks"].values():
            addresses = filter(None, (endpoint["IPAddress"], endpoint["GlobalIPv6Address"]))
            members.setdefault(endpoint["NetworkID"], []).extend(addresses)
            gateways |= {"ip": endpoint["Gateway"]} if endpoint["Gateway"] else {}
            gateways |= {"ip6": endpoint["IPv6Gateway"]} if endpoint["IPv6Gateway"] else {}
        ports += ports_of(container, networks, gateways)
    written = ""
    for family in ("ip", "ip6"):
        of_family = [port for port in ports if (":" in port.address) is (family == "ip6")]
        written += rules(family, [*networks.values()], members, of_family)
    assert len(ports) == 8
    assert _parsed(written) == _parsed((_FOUND[0] / "nftables/ruleset.nft").read_text())


@pytest.mark.skipif(not _GOLDEN, reason="the engine's golden rulesets are not beside the checkout")
def test_rules_of_every_combination() -> None:
    assert len(_GOLDEN) > 50
    for file in _GOLDEN:
        said = dict(part.split("=") for part in file.name.partition("__")[0].split(","))
        family = "ip6" if "__ip6" in file.name else "ip"
        six = family == "ip6"
        subnet, address = ("fd49:efd7:54aa::/64", "fd49:efd7:54aa::1") if six else ("192.168.0.0/24", "192.168.0.2")
        options = {
            "name": "br-dummy",
            "enable_icc": said["icc"],
            "enable_ip_masquerade": said.get("masq", "true"),
            "gateway_mode_ipv6" if six else "gateway_mode_ipv4": said.get("gwm", "nat"),
        }
        network: Item = {
            "Id": "dummy",
            "Driver": "bridge",
            "EnableIPv4": not six,
            "EnableIPv6": six,
            "Internal": said["internal"] == "true",
            "IPAM": {"Config": [{"Subnet": subnet}]},
            "Options": {f"com.docker.network.bridge.{name}": value for name, value in options.items()},
        }
        bound = ("::1" if six else "127.0.0.1") if said.get("bindlh") == "true" else "::" if six else "0.0.0.0"
        ports = [] if network["Internal"] else [Port("br-dummy", bound, "8080", address, "80", "tcp")]
        written = rules(family, [network], {"dummy": [address]}, ports, proxy=said["hairpin"] == "false")
        assert _parsed(written) == _parsed(file.read_text()), file.name
