"""What keeps a rule of routing, and for whom. Files below /run are constructed, but for that of networkd."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from dockernet_doctor.diagnosis.change import Change, IpChange, RouteChange, RuleChange
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.fixes.addressing import networking
from dockernet_doctor.diagnosis.fixes.keeping import kept
from dockernet_doctor.snapshot.link_keepers import read_link_keepers
from dockernet_doctor.snapshot.model import Host, Link, LinkKeeper, NetworkStack, Route, RoutingRule, Snapshot

ETH0 = Link(index=2, name="eth0")
SUBNET = RoutingRule(family=4, priority=99, table=254, destination="172.18.0.0/16")
BACK = RoutingRule(family=4, priority=990, table=254, in_interface="br-app", suppress_prefix_length=0)
PLANNED = "NETWORK_FILE=/run/systemd/network/10-netplan-lan.network\n"


def facts(tmp_path: Path, path: str = "", text: str = "", link: Link = ETH0) -> HostFacts:
    """A host whose uplink somebody manages, as the file below /run says."""
    if path:
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    stack = NetworkStack(links=(link,), routes=(Route(family=4, destination="0.0.0.0/0", gateway="10.1.0.1", link="eth0"),))
    host = Host(stack=stack, link_keepers=read_link_keepers(stack, str(tmp_path)))
    return HostFacts(Snapshot(name="h1", taken_at="", endpoint="", host=host))


def kept_where(here: HostFacts, *changes: Change) -> str:
    """Where the fix tells its reader to keep it."""
    bare = networking(*changes, summary="Do.", lasts="until-reboot")
    return kept(here, bare).summary.removeprefix("Do.").removeprefix(" It lasts until the next reboot; to keep it, put it ")


def lasting(here: HostFacts, *changes: Change) -> tuple[str, str, str]:
    """How long the fix lasts, the command that keeps it and the one that no longer does."""
    bare = networking(*changes, summary="Do.", lasts="until-reboot")
    fix = kept(here, bare)
    if fix.commands == bare.commands:
        return fix.lasts, "", ""
    assert fix.commands[: len(bare.commands)] == bare.commands
    assert fix.undo[-len(bare.undo) :] == bare.undo
    assert "edits-file" in fix.impacts
    assert max(map(len, fix.commands)) < 400
    return fix.lasts, fix.commands[-1], fix.undo[0]


def test_netplan_gets_a_file_of_its_own(tmp_path: Path) -> None:
    here = facts(tmp_path, "run/systemd/netif/links/2", f"ADMIN_STATE=configured\n{PLANNED}")
    assert here.host
    assert here.host.link_keepers == (LinkKeeper(link="eth0", keeper="netplan", name="lan"),)
    both = (RuleChange.added(SUBNET), RuleChange.added(RoutingRule(family=6, priority=7, table=100, source="fd00::/64")))
    lasts, forth, back = lasting(here, *both)
    assert (lasts, back) == ("permanent", "rm /etc/netplan/90-docker-rule-99.yaml && netplan generate")
    written = subprocess.run(["sh", "-c", forth.partition(" > ")[0]], capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(written)["network"]["ethernets"]["lan"]["routing-policy"] == [
        {"to": "172.18.0.0/16", "table": 254, "priority": 99},
        {"from": "fd00::/64", "table": 100, "priority": 7},
    ]
    assert forth.endswith("chmod 600 /etc/netplan/90-docker-rule-99.yaml && netplan generate")


def test_what_netplan_cannot_say_and_networkd_s_own_is_a_drop_in(tmp_path: Path) -> None:
    for number, (text, file) in enumerate(
        ((PLANNED, "10-netplan-lan"), ("NETWORK_FILE=/etc/systemd/network/20-wired.network\n", "20-wired"))
    ):
        here = facts(tmp_path / str(number), "run/systemd/netif/links/2", text)
        lasts, forth, back = lasting(here, RuleChange.added(BACK))
        path = f"/etc/systemd/network/{file}.network.d/docker-rule-990.conf"
        assert (lasts, back) == ("permanent", f"rm {path}")
        written = subprocess.run(["sh", "-c", forth.partition(" && ")[2].partition(" > ")[0]], capture_output=True, text=True)
        assert written.stdout.splitlines() == [
            "[RoutingPolicyRule]",
            "IncomingInterface=br-app",
            "Table=254",
            "Priority=990",
            "Family=ipv4",
            "SuppressPrefixLength=0",
        ]
        assert forth.endswith(f"> {path}")


def test_network_manager_gets_it_for_the_connection_that_is_up(tmp_path: Path) -> None:
    here = facts(tmp_path, "run/NetworkManager/devices/2", "[device]\nmanaged=1\nconnection-uuid=11-22\n")
    lasts, forth, back = lasting(here, RuleChange.added(SUBNET))
    up = '"$(nmcli -g GENERAL.CONNECTION device show eth0)"'
    said = "ipv4.routing-rules 'priority 99 to 172.18.0.0/16 table 254'"
    assert lasts == "permanent"
    assert (forth, back) == tuple(f"nmcli connection modify id {up} {sign}{said}" for sign in "+-")


@pytest.mark.parametrize(
    "changes",
    [
        [RuleChange.removed(SUBNET)],
        [RuleChange.added(SUBNET), RouteChange.added(Route(family=4, destination="172.18.0.0/16", link="br-app", table=7))],
        [RuleChange.added(RoutingRule(family=4, priority=3, table=7, selectors=("uidrange 0-0",)))],
    ],
)
def test_what_no_keeper_would_take_is_not_said_to_last(changes: list[Change], tmp_path: Path) -> None:
    here = facts(tmp_path, "run/systemd/netif/links/2", PLANNED)
    assert lasting(here, *changes) == ("until-reboot", "", "")


def test_what_lasts_until_reboot_says_where_to_keep_it(tmp_path: Path) -> None:
    here = facts(tmp_path, "run/systemd/netif/links/2", PLANNED)
    route = RouteChange.added(Route(family=4, destination="172.18.0.0/16", link="br-app", table=7))
    assert kept_where(here, RuleChange.added(SUBNET), route) == "in /etc/netplan."
    assert kept_where(here, RuleChange.added(SUBNET)) == ""
    assert kept_where(here, RuleChange.removed(SUBNET)) == ""
    above = IpChange(forth=("link", "add", "shim", "link", "eth0", "type", "macvlan"), back=("link", "del", "shim"))
    assert kept_where(here, above) == "in /etc/netplan."


def test_links_that_nobody_manages_have_no_keeper(tmp_path: Path) -> None:
    for number, (path, text) in enumerate(
        (("run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n"), ("run/NetworkManager/devices/2", "[device]\nmanaged=0\n"))
    ):
        here = facts(tmp_path / str(number), path, text)
        assert here.host
        assert here.host.link_keepers == ()
        assert lasting(here, RuleChange.added(SUBNET))[0] == "until-reboot"
        assert kept_where(here, RuleChange.added(SUBNET)).startswith("where this host sets up eth0 (ifupdown: ")
