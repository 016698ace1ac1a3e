"""What keeps a changed rule: the words of whoever loads this host's rules again, beside the command of now."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import force_setattr, replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.keeping import kept
from dockernet_doctor.diagnosis.fixes.remedy import firewall_change
from dockernet_doctor.netfilter.change import allow, undo, undo_policy
from dockernet_doctor.netfilter.dumps import rulesets_of
from dockernet_doctor.netfilter.model import Chain, Packet
from dockernet_doctor.snapshot.model import FirewallDump, Host, RuleFile, Snapshot
from dockernet_doctor.snapshot.rule_files import read_rule_files

REQUEST = Packet(source="10.1.0.2", destination="172.17.0.2", dport=80, in_interface="eth0", out_interface="docker0")
HERE = Packet(source="10.1.0.2", destination="10.1.0.1", dport=80, in_interface="eth0")
RULES = """\
# Generated
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eth1 -j DROP
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:DOCKER-USER - [0:0]
-A INPUT -i lo -j ACCEPT
-A DOCKER-USER -i eth0 -p tcp -m tcp --dport 80 -m comment --comment "no # web" -j DROP
-A DOCKER-USER -s 10.9.0.0/16 -j DROP
COMMIT
"""
NATIVE = """\
#!/usr/sbin/nft -f
flush ruleset  # table inet commented { chain out {
table inet guard {
  set people { type ipv4_addr; }
  chain forwarded {
    type filter hook forward priority 0; policy drop;
  }
}
table guard { chain forwarded { } }
"""


def host_of(
    tmp_path: Path, *, ufw: bool = False, programs: dict[str, str] | None = None, firewalls: tuple[str, ...] = ()
) -> HostFacts:
    """A host with the rule files below the directory, whose paths the fixes then name."""
    files = tuple(_moved(file, tmp_path) for file in read_rule_files(str(tmp_path), ufw=ufw))
    host = Host(rule_files=files, programs=programs or {}, active_firewalls=firewalls)
    return HostFacts(Snapshot(name="h1", taken_at="", endpoint="", host=host))


def _moved(file: RuleFile, to: Path) -> RuleFile:
    for line in file.lines:  # whose path a bundle could not have
        force_setattr(line, "file", f"{to}{line.file}")
    return replace(file, path=f"{to}{file.path}")


def put(tmp_path: Path, path: str, text: str, service: str = "") -> Path:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if service:
        wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / f"{service}.service").symlink_to("/etc/passwd")
    return file


def chain(text: str, table: str, name: str) -> Chain:
    dump = FirewallDump(tool="iptables-nft", family=4, text=text)
    found = next(iter(rulesets_of([dump]))).chain(table, name, "ip")
    assert found
    return found


def of_file(fix: Fix) -> tuple[list[str], list[str]]:
    """What the fix and its undo do to files."""
    words = ("sed ", "mv ", "printf ")
    return [c for c in fix.commands if c.startswith(words)], [c for c in fix.undo if c.startswith(words)]


SEDS = [["sed"], *([["busybox", "sed"]] if shutil.which("busybox") else [])]


def run(lines: list[str], sed: list[str]) -> None:
    for line in lines:
        subprocess.run(["sh", "-c", line.replace("sed ", f"{' '.join(sed)} ", 1)], check=True)


@pytest.mark.parametrize("sed", SEDS, ids="-".join)
def test_a_rule_of_a_file_goes_there_too_and_comes_back(tmp_path: Path, sed: list[str]) -> None:
    file = put(tmp_path, "etc/iptables/rules.v4", RULES, "netfilter-persistent")
    at = chain(RULES, "filter", "DOCKER-USER")
    bare = firewall_change(undo(at.rules[0], chain=at)[0])
    fix = kept(host_of(tmp_path), bare)
    assert (bare.lasts, fix.lasts) == ("until-reboot", "permanent")
    assert fix.commands[: len(bare.commands)] == bare.commands
    assert "edits-file" in fix.impacts
    forth, back = of_file(fix)
    run(forth, sed)
    assert file.read_text() == RULES.replace(f"{at.rules[0].line}\n", "")
    run(back, sed)
    assert file.read_text() == RULES


@pytest.mark.parametrize("sed", SEDS, ids="-".join)
def test_an_accept_stands_first_in_its_chain_and_the_policy_where_the_file_sets_it(tmp_path: Path, sed: list[str]) -> None:
    file = put(tmp_path, "etc/sysconfig/iptables", RULES, "iptables")
    narrow, wide = (kept(host_of(tmp_path), firewall_change(way)) for way in undo_policy(chain(RULES, "filter", "INPUT"), HERE))
    accept = "-A INPUT -d 10.1.0.1/32 -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT"
    for fix, old, new in (
        (narrow, ":INPUT DROP [0:0]\n", f":INPUT DROP [0:0]\n{accept}\n"),
        (wide, ":INPUT DROP", ":INPUT ACCEPT"),
    ):
        assert fix.lasts == "permanent"
        forth, back = of_file(fix)
        run(forth, sed)
        assert file.read_text() == RULES.replace(old, new)
        run(back, sed)
        assert file.read_text() == RULES


def test_both_ways_are_one_edit_and_a_chain_that_docker_would_make_is_made(tmp_path: Path) -> None:
    before = RULES.replace(":DOCKER-USER - [0:0]\n", "").replace("-A DOCKER-USER", "-A FORWARD")
    file = put(tmp_path, "etc/ufw/after.rules", before)
    bare = firewall_change(allow(chain(RULES, "filter", "DOCKER-USER"), REQUEST))
    assert kept(host_of(tmp_path), bare) is bare  # ufw is off
    fix = kept(host_of(tmp_path, ufw=True), bare)
    forth, back = of_file(fix)
    assert (len(bare.commands), len(forth), len(back)) == (2, 1, 1)
    assert max(map(len, fix.commands)) < 400 + len(str(tmp_path))
    run(forth, ["sed"])
    after = file.read_text()
    assert after.count("\n-A DOCKER-USER ") == 2
    assert after.index(":DOCKER-USER - [0:0]\n-A DOCKER-USER") > after.index("*filter")
    assert after.count("COMMIT\n") == 2


def test_what_the_file_does_not_make_is_not_said_to_last(tmp_path: Path) -> None:
    put(tmp_path, "etc/iptables/rules.v4", "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "netfilter-persistent")
    at = chain(RULES, "filter", "DOCKER-USER")
    for way in (*undo(at.rules[0], REQUEST, chain=at), *undo_policy(chain(RULES, "filter", "INPUT"), HERE)):
        bare = firewall_change(way)
        assert kept(host_of(tmp_path), bare) is bare


def test_files_of_services_that_are_not_enabled_are_none(tmp_path: Path) -> None:
    put(tmp_path, "etc/iptables/rules.v4", RULES)
    put(tmp_path, "etc/nftables.conf", NATIVE)
    assert read_rule_files(str(tmp_path), ufw=True) == ()
    (tmp_path / "etc/runlevels/boot").mkdir(parents=True)
    (tmp_path / "etc/runlevels/boot/nftables").symlink_to("/etc/passwd")
    (native,) = read_rule_files(str(tmp_path), ufw=True)
    assert native == RuleFile(
        path="/etc/nftables.conf",
        keeper="nftables",
        family=None,
        chains=(("inet", "guard", "forwarded"), ("ip", "guard", "forwarded")),
    )


def test_a_native_table_gets_its_line_where_its_own_file_makes_the_chain(tmp_path: Path) -> None:
    file = put(tmp_path, "etc/nftables.conf", NATIVE.rstrip("\n"), "nftables")
    base = {
        "family": "inet",
        "table": "guard",
        "name": "forwarded",
        "handle": 1,
        "type": "filter",
        "hook": "forward",
        "prio": 0,
    }
    listing = {"nftables": [{"table": {"family": "inet", "name": "guard", "handle": 1}}, {"chain": {**base, "policy": "drop"}}]}
    dump = FirewallDump(tool="nft", family=None, text=json.dumps(listing))
    at = next(iter(rulesets_of([dump]))).chain("guard", "forwarded", "inet")
    assert at
    for way in undo_policy(at, REQUEST, docker_user=False):
        fix = kept(host_of(tmp_path), firewall_change(way))
        assert fix.lasts == "permanent"
        forth, back = of_file(fix)
        for line in forth:
            subprocess.run(["sh", "-c", line.partition(" && ")[0]], check=True)
        added = file.read_text().removeprefix(NATIVE).split("\n")
        assert [line.split(" {")[0] for line in added if line] == [
            line.split(" {")[0].removeprefix("nft ").replace("'", "") for line in firewall_change(way).commands
        ]
        run(back, ["sed"])
        assert file.read_text().strip() == NATIVE.strip()
        assert all("nft -c -f" in line for line in forth)


def test_what_firewalld_would_forget_is_told_to_it(tmp_path: Path) -> None:
    put(tmp_path, "etc/iptables/rules.v4", RULES, "netfilter-persistent")  # left behind by former times
    bare = firewall_change(allow(chain(RULES, "filter", "FORWARD"), REQUEST, docker_user=False))
    fix = kept(host_of(tmp_path, programs={"firewall-cmd": "/usr/bin/firewall-cmd"}, firewalls=("firewalld",)), bare)
    assert (bare.lasts, fix.lasts) == ("until-reboot", "permanent")
    assert fix.commands[: len(bare.commands)] == bare.commands
    match = "ipv4 filter FORWARD 0 -d 172.17.0.2 -i eth0 -o docker0 -p tcp --dport 80 -j ACCEPT"
    assert f"firewall-cmd --permanent --direct --add-rule {match}" in fix.commands
    assert f"firewall-cmd --permanent --direct --remove-rule {match}" in fix.undo
    assert not of_file(fix)[0]


ORDERED = """\
table inet guard {
  chain forwarded {
    type filter hook forward priority 0;
    include "nowhere.conf"
    ct state established,related accept
    tcp dport http drop  # not 443
    tcp dport 81 drop; tcp dport 82 drop
  }
}
include "/etc/nftables.d/*.nft"
"""
INCLUDED = """\
add rule inet guard forwarded ip saddr 192.0.2.1 \\
  counter drop
add rule inet guard forwarded tcp dport 90 counter drop
"""
DROPPED = (80, 81, 82, None, 90)


def _native(*, without: int = 0) -> Chain:
    """The chain as the kernel has it, but for the last rules."""
    port = {"payload": {"protocol": "tcp", "field": "dport"}}
    rules = [[{"match": {"op": "==", "left": port, "right": number}}] if number else [] for number in DROPPED]
    expressions = [[{"accept": None}], *([*found, {"drop": None}] for found in rules)]
    place = {"family": "inet", "table": "guard", "chain": "forwarded"}
    made = [{"rule": {**place, "handle": 5 + number, "expr": it}} for number, it in enumerate(expressions[: 6 - without])]
    base = {
        "family": "inet",
        "table": "guard",
        "name": "forwarded",
        "handle": 1,
        "type": "filter",
        "hook": "forward",
        "prio": 0,
    }
    listing = {"nftables": [{"table": {"family": "inet", "name": "guard", "handle": 1}}, {"chain": base}, *made]}
    at = next(iter(rulesets_of([FirewallDump(tool="nft", family=None, text=json.dumps(listing))])))
    found = at.chain("guard", "forwarded", "inet")
    assert found
    return found


def test_a_rule_of_nft_goes_from_its_line_too(tmp_path: Path) -> None:
    main = put(tmp_path, "etc/nftables.conf", ORDERED, "nftables")
    other = put(tmp_path, "etc/nftables.d/a.nft", INCLUDED)
    at, host = _native(), host_of(tmp_path)
    fix = kept(host, firewall_change(undo(at.rules[1], chain=at)[0]))  # http in the file, 80 in the kernel
    assert (fix.lasts, fix.commands[-1].partition(" && ")[2]) == ("permanent", f"nft -c -f {main}")
    forth, back = of_file(fix)
    run([line.partition(" && ")[0] for line in forth], ["sed"])
    assert main.read_text() == ORDERED.replace("    tcp dport http drop  # not 443\n", "")
    run(back, ["mv"])
    assert main.read_text() == ORDERED
    both = [firewall_change(undo(at.rules[n], chain=at)[0]) for n in (5, 1)]
    forth, _ = of_file(kept(host, both[0].then(both[1])))
    run([line.partition(" && ")[0] for line in forth], ["sed"])
    assert other.read_text() == INCLUDED.rpartition("add")[0]


def test_a_line_that_is_not_its_own_is_named(tmp_path: Path) -> None:
    main = put(tmp_path, "etc/nftables.conf", ORDERED, "nftables")
    other = put(tmp_path, "etc/nftables.d/a.nft", INCLUDED)
    at, host = _native(), host_of(tmp_path)
    for number, where in ((2, f"{main} (line 7)"), (4, f"{other} (line 1)")):
        fix = kept(host, firewall_change(undo(at.rules[number], chain=at)[0]))
        assert f"Take it out of {where}, too, or it comes back." in fix.summary
        assert fix.lasts == "until-reboot"
    fewer = _native(without=1)  # somebody took one away, so that places tell nothing: by its words
    fix = kept(host, firewall_change(undo(fewer.rules[2], chain=fewer)[0]))
    assert f"Take it out of {main} (line 7), too" in fix.summary
    fix = kept(host, firewall_change(undo(fewer.rules[1], chain=fewer)[0]))
    assert f"Take it out of {main}, too" in fix.summary
