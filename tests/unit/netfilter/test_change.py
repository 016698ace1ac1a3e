"""The commands that undo a rule."""

from __future__ import annotations

import subprocess
from pathlib import Path

from msgspec.structs import replace

from dockernet_doctor.netfilter import evaluate, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.change import allow, owner, undo, undo_policy
from dockernet_doctor.netfilter.describe import describe, describe_decision, describe_policy
from dockernet_doctor.netfilter.model import Chain, Packet, Rule
from dockernet_doctor.netfilter.nft_syntax import expression_text
from dockernet_doctor.snapshot.firewall import without_secrets
from tests.unit.netfilter.recorded import DATA

PACKET = Packet(source="10.1.0.2", destination="172.17.0.2", dport=80, in_interface="eth0", out_interface="docker0")


def chain_of(*rules: str, table: str = "filter", family: int = 4, legacy: bool = False) -> Chain:
    name = rules[0].split()[1] if rules else "FORWARD"
    text = f"*{table}\n:{name} DROP [0:0]\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
    ruleset = parse_iptables_save(text, 6 if family == 6 else 4, "iptables-legacy" if legacy else "iptables-nft")
    found = ruleset.chain(table, name)
    assert found is not None
    return found


def rule_of(line: str, **options: bool | str | int) -> Rule:
    return chain_of(line, **options).rules[0]  # type: ignore[arg-type]


def test_rule_is_named_for_people() -> None:
    chain = chain_of("-A DOCKER-USER -j LOG", "-A DOCKER-USER -s 10.0.0.0/8 -j DROP")
    assert describe(chain.rules[1]) == "rule 2 of DOCKER-USER (filter): -s 10.0.0.0/8 -j DROP"
    assert describe(rule_of("-A FORWARD -j DROP", legacy=True)) == "rule 1 of FORWARD (filter, legacy): -j DROP"
    assert describe(rule_of("-A FORWARD -j DROP", family=6)) == "rule 1 of FORWARD (ip6tables filter): -j DROP"
    assert describe_policy(chain_of("-A FORWARD -j LOG")) == "the policy DROP of FORWARD (filter)"


def test_decision_is_named_for_people() -> None:
    text = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m limit --limit 5/sec -j ACCEPT\nCOMMIT\n"
    decision = evaluate(parse_iptables_save(text, 4, "iptables-nft"), "filter", "FORWARD", PACKET)
    expected = "cannot be told: -m limit --limit 5/sec in rule 1 of FORWARD (filter): -m limit --limit 5/sec -j ACCEPT"
    assert describe_decision(decision) == expected


def test_own_rule_is_deleted_exactly_and_with_its_copies() -> None:
    line = '-A DOCKER-USER -i eth0 -m comment --comment "it\\\'s $HOME" -j DROP'
    chain = chain_of(line, "-A DOCKER-USER -j LOG", line)
    [removal, *rest] = undo(chain.rules[0], PACKET, chain=chain)
    assert removal.commands == ("iptables -D DOCKER-USER -i eth0 -m comment --comment 'it'\"'\"'s $HOME' -j DROP",) * 2
    assert rest[0].commands[0] == "iptables -I DOCKER-USER -d 172.17.0.2 -i eth0 -o docker0 -p tcp --dport 80 -j ACCEPT"


def test_a_rule_with_a_masked_secret_is_deleted_by_its_number(tmp_path: Path) -> None:
    """The commands are run: iptables is a script that lists the real rules, and writes down what it is asked to delete."""
    rules = (
        "-A FORWARD -j LOG",
        "-A FORWARD -s 10.9.1.0/24 -m comment --comment token=hunter2 -p tcp -j DROP",
        "-A FORWARD -s 10.9.1.0/24 -m comment --comment token=hunter2 -j DROP",
        '-A FORWARD -s 10.9.2.0/24 -m comment --comment "the \\"api\\" of bob\\\'s password: hunter2" -j DROP',
    )
    program, deleted = tmp_path / "iptables", tmp_path / "deleted"
    listing = "\n".join(("-P FORWARD DROP", *rules))
    program.write_text(f"#!/bin/sh\n[ $1 = -D ] && echo $2 $3 >> {deleted} && exit\ncat <<'EOF'\n{listing}\nEOF\n")
    program.chmod(0o755)
    chain = chain_of(*without_secrets("\n".join(rules)).splitlines())
    for rule in chain.rules[2:]:
        assert "hunter2" not in rule.line
        for command in undo(rule, chain=chain)[0].commands:
            assert "hunter2" not in command
            subprocess.run(["sh", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    assert deleted.read_text() == "FORWARD 3\nFORWARD 4\n"


def test_allowlist_gets_one_more_entry_instead_of_losing_its_end() -> None:
    """`-i eth0 -j DROP` after what may come in, and Docker's own example, `! -s LAN -j DROP`."""
    end = "-A DOCKER-USER -i eth0 -j DROP"
    open_to = "-A DOCKER-USER -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT"
    answers = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    lan_only = "-A DOCKER-USER ! -s 10.0.0.0/8 -i eth0 -j DROP"
    entry = "iptables -I DOCKER-USER -d 172.17.0.2 -i eth0 -o docker0 -p tcp --dport 80 -j ACCEPT"
    trusted = "-A DOCKER-USER -i tun0 -j ACCEPT"
    for rules, added in (
        ((open_to, end), True),
        ((trusted, end), True),
        ((lan_only,), True),
        ((answers, end), False),
        ((end, open_to), False),
    ):
        chain = chain_of(*rules)
        rule = next(r for r in chain.rules if r.line.endswith("DROP"))
        assert (undo(rule, PACKET, chain=chain)[0].commands[0] == entry) is added, rules
        assert undo(rule, replace(PACKET, reply=True), chain=chain)[0].commands[0].startswith("iptables -D DOCKER-USER ")
    nat = chain_of("-A KUBE-SEP -j DNAT --to-destination 10.42.0.9:80", table="nat")
    assert undo(nat.rules[0], PACKET, chain=nat)[0].commands[0].startswith("iptables -t nat -D KUBE-SEP ")
    shared = chain_of("-A LOGDROP -j LOG", "-A LOGDROP -j DROP")
    assert undo(shared.rules[1], PACKET, chain=shared)[0].commands[0].startswith("iptables -I LOGDROP -d 172.17.0.2 ")


def test_program_follows_backend_and_family() -> None:
    rule = rule_of("-A PREROUTING -p tcp -j DROP", table="nat", legacy=True)
    assert undo(rule)[0].commands == ("iptables-legacy -t nat -D PREROUTING -p tcp -j DROP",)
    assert undo(rule, default="iptables-legacy")[0].commands == ("iptables -t nat -D PREROUTING -p tcp -j DROP",)
    assert undo(rule_of("-A FORWARD -j DROP", family=6))[0].commands == ("ip6tables -D FORWARD -j DROP",)


def test_native_rule_is_deleted_by_its_handle() -> None:
    native = parse_nft_json((DATA / "nft-every-expression.json").read_text())
    rule = native.rules("firewalld", "sub", "inet")[1]
    asked = f"nft -a list chain inet firewalld sub | grep 'drop # handle {rule.handle}$'"
    assert undo(rule)[0].commands == (f"{asked} && nft delete rule inet firewalld sub handle {rule.handle}",)
    assert describe(rule) == 'rule 2 of sub (nft inet firewalld): log prefix "x y" drop'
    assert allow(rule, PACKET).commands[0] == (
        'nft insert rule inet firewalld sub \'iifname "eth0" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 accept\''
    )


def test_owner_is_told_by_the_names_of_chains_and_tables() -> None:
    native = parse_nft_json((DATA / "nft-every-expression.json").read_text())
    owners = {
        chain: owner(rule_of(f"-A {chain} -j DROP"))
        for chain in (
            "ufw-user-forward",
            "ufw6-before-input",
            "FWDI_public",
            "DENYIN",
            "f2b-sshd",
            "DOCKER",
            "DOCKER-USER",
            "FORWARD",
        )
    }
    assert owners == {
        "ufw-user-forward": "ufw",
        "ufw6-before-input": "ufw",
        "FWDI_public": "firewalld",
        "DENYIN": "csf",
        "f2b-sshd": "fail2ban",
        "DOCKER": "docker",
        "DOCKER-USER": None,
        "FORWARD": None,
    }
    assert owner(native.rules("firewalld", "sub", "inet")[0]) == "firewalld"


def test_what_ufw_and_firewalld_own_is_changed_in_their_words() -> None:
    [first, second] = undo(rule_of("-A ufw-user-forward -j DROP"), PACKET)
    assert first.commands == ("ufw route prepend allow in on eth0 out on docker0 proto tcp from any to 172.17.0.2 port 80",)
    assert (first.lasts, second.lasts) == ("permanent", "until-reboot")
    here = Packet(source="172.17.0.2", destination="172.17.0.1", dport=5432, in_interface="docker0")
    assert undo(rule_of("-A ufw-user-input -j DROP"), here)[0].commands == (
        "ufw prepend allow in on docker0 proto tcp from any to 172.17.0.1 port 5432",
    )
    native = parse_nft_json((DATA / "nft-every-expression.json").read_text())
    commands = undo(native.rules("firewalld", "sub", "inet")[1], here)[0].commands
    assert [command.split()[0:2] for command in commands] == [
        ["firewall-cmd", commands[0].split()[1]],
        ["firewall-cmd", "--permanent"],
    ]
    assert all(command.endswith("--add-port=5432/tcp") for command in commands)


def test_policy_of_a_chain_that_calls_ufw_is_ufws() -> None:
    here = Packet(source="172.17.0.2", destination="10.99.0.3", dport=9000, in_interface="docker0")
    [first, *_] = undo_policy(chain_of("-A INPUT -j ufw-before-input", "-A INPUT -j ufw-track-input"), here)
    assert first.commands == ("ufw prepend allow in on docker0 proto tcp from any to 10.99.0.3 port 9000",)


def test_policy_is_met_by_a_narrow_accept_first() -> None:
    chain = chain_of("-A FORWARD -j LOG")
    narrow, wide = undo_policy(chain, PACKET)
    assert narrow.commands == (
        "iptables -I DOCKER-USER -d 172.17.0.2 -i eth0 -o docker0 -p tcp --dport 80 -j ACCEPT",
        "iptables -I DOCKER-USER -i docker0 -o eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )
    assert wide.commands == ("iptables -P FORWARD ACCEPT",)
    foreign = Packet(source="192.168.122.2", destination="192.168.122.3", in_interface="virbr0", out_interface="virbr0")
    assert undo_policy(chain, foreign)[0].commands == ("iptables -I DOCKER-USER -i virbr0 -o virbr0 -j ACCEPT",)


def test_what_a_rule_has_counted_is_no_part_of_its_text() -> None:
    """Its text names it: in another run it is the same rule."""
    quota = {"val": 5, "val_unit": "mbytes", "inv": True, "used": 1, "used_unit": "bytes"}
    assert expression_text({"quota": quota}) == expression_text({"quota": {**quota, "used": 7}}) == "quota over 5 mbytes"
    assert expression_text({"last": {"used": 9}}) == expression_text({"last": None})
    assert expression_text({"counter": {"packets": 1, "bytes": 2}}) == "counter"
