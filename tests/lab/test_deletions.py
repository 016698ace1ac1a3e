"""The printed deletion of a rule ends that rule and no other, and its undo puts it back: iptables of both backends, nft."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from dockernet_doctor.netfilter import parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.change import undo
from dockernet_doctor.netfilter.model import Backend, Chain, Rule
from tests.lab import rule_sets
from tests.lab.router import Router

ODD = r"""
-m comment --comment "it's \"q\" ! $(x) `y` \\ end" -j DROP
-m comment --comment "! -j ACCEPT" -j DROP
-m comment --comment "-j" -j DROP
-m comment --comment "a  * [c] ^d$" -j DROP
! -i eth0 ! -o eth1 -p tcp -m tcp ! --dport 80 -j DROP
-p tcp -m tcp --tcp-flags SYN,RST,ACK,FIN SYN -m conntrack --ctstate NEW -m limit --limit 5/min -j LOG --log-prefix "a b: "
-p tcp -m multiport --dports 80,443,8000:9000 -m comment --comment "web ports" -j REJECT --reject-with tcp-reset
-m string --string "GET /" --algo bm --from 10 --to 200 -j DROP
-m string --hex-string "|00 01|" --algo kmp -j DROP
-m time --timestart 01:00 --timestop 02:00 --weekdays Mon,Tue -j DROP
-m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr -j REJECT
-p tcp -m connlimit --connlimit-upto 3 --connlimit-daddr -j DROP
-m recent --name bad --rcheck --seconds 60 --hitcount 4 -j DROP
-m recent --name bad --set --rsource -j DROP
-m hashlimit --hashlimit-above 5/sec --hashlimit-burst 10 --hashlimit-mode srcip,dstport --hashlimit-name hl1 -j DROP
-m hashlimit --hashlimit-upto 512kb/s --hashlimit-burst 1mb --hashlimit-mode srcip --hashlimit-name hl2 -j DROP
-m mac --mac-source 00:11:22:33:44:55 -j DROP
-m length ! --length 100 -j DROP
-m dscp --dscp-class EF -j DROP
-m helper --helper ftp -j DROP
-m physdev --physdev-in eth0 --physdev-is-bridged -j DROP
-m statistic --mode nth --every 3 --packet 1 -j DROP
-m quota --quota 1000000 -j DROP
-m connbytes --connbytes 1000: --connbytes-mode bytes --connbytes-dir both -j DROP
-m conntrack --ctstate RELATED,ESTABLISHED --ctproto tcp --ctorigdstport 80 --ctdir ORIGINAL -j DROP
-m conntrack --ctstatus ASSURED,CONFIRMED -j DROP
-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" -j DROP
-m u32 --u32 "0x0>>0x16&0x3c@0x4=0x1d" -j DROP
-m socket --transparent -j DROP
-m policy --dir in --pol none -j DROP
-m devgroup --src-group 0x1 -j DROP
-p sctp -m sctp --dport 80 --chunk-types any INIT -j DROP
-p tcp -m tcpmss --mss 500:1000 -j DROP
-p tcp -m tcp --tcp-option 5 -j DROP
-p 253 -j DROP
! -p tcp -j DROP
-j NFQUEUE --queue-balance 0:3
-j NFLOG --nflog-prefix "x y" --nflog-group 2
-i br+ -o eth+ -j RETURN

"""
NATIVE = """table inet odd { chain c { type filter hook forward priority 0; policy accept;
  counter packets 3 bytes 4 drop comment "it's a ! [x] .*"
  tcp dport { 80, 443, 8000-9000 } ip saddr 10.0.0.0/8 counter drop
  iifname "eth0" oifname "br-*" ct state new limit rate 5/second drop
  iif lo accept
  ip protocol tcp reject with tcp reset
  meta mark 0x5 drop
  ip6 saddr fd00::/64 log prefix "x y " level info drop
  ct state vmap { established : accept, invalid : drop }
  tcp flags syn tcp option maxseg size set rt mtu
  ip daddr 10.0.0.1-10.0.0.5 drop
  ct state != established,related drop
  ether saddr 00:11:22:33:44:55 drop
  quota over 25 mbytes drop
  icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
  reject with icmpx admin-prohibited
  drop
  drop
}
}"""


@pytest.fixture(scope="module")
def router(able: None) -> Iterator[Router]:
    with Router() as made:
        made.run("router", "ipset restore", rule_sets.IPSETS)
        yield made


def test_a_sample_of_deletions(router: Router) -> None:
    _round_of_iptables(router, "nft", 4, odd=True)
    _round_of_nft(router, NATIVE)


@pytest.mark.long
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_every_deletion_of_iptables(router: Router, backend: str, family: rule_sets.Family) -> None:
    for number in range(3):
        _round_of_iptables(router, backend, family, seed=f"{os.environ['LAB_SEED']}.{number}", odd=number == 0)


@pytest.mark.long
def test_every_deletion_of_nft(router: Router) -> None:
    for number in range(6):
        _round_of_nft(router, rule_sets.nft_rules(f"{os.environ['LAB_SEED']}.{number}"))


def _round_of_iptables(router: Router, backend: str, family: rule_sets.Family, *, seed: str = "", odd: bool) -> None:
    program = f"{'ip6' if family == 6 else 'ip'}tables"
    said: Backend = "iptables-nft" if backend == "nft" else "iptables-legacy"
    restore, save = (f"{program}-{backend}-{verb}" for verb in ("restore", "save"))
    text = rule_sets.iptables_rules(seed, family) if seed else "*filter\nCOMMIT\n"
    router.run("router", restore, text)
    for line in ODD.splitlines() if odd else ():
        with suppress(RuntimeError):  # where this kernel lacks it
            router.run("router", f"{restore} --noflush", f"*filter\n-A FORWARD {line}\nCOMMIT\n")

    def rules() -> list[str]:
        return re.sub(r"^#.*\n", "", router.run("router", save), flags=re.MULTILINE).splitlines()

    for table in parse_iptables_save(router.run("router", save), family, said).tables:
        for chain in table.chains.values():
            for rule in dict.fromkeys(chain.rules):
                copies = sum(other.line == rule.line for other in chain.rules)
                _deleted_and_back(router, rule, chain, said, rules, Counter({rule.line: copies}))
    router.run("router", restore, "".join(f"*{name}\nCOMMIT\n" for name in ("raw", "mangle", "nat", "filter")))


def _round_of_nft(router: Router, text: str) -> None:
    router.run("router", "nft -f -", text)

    def read() -> Iterator[Chain]:
        for table in parse_nft_json(router.run("router", "nft -j list ruleset")).tables:
            yield from table.chains.values()

    def rules() -> list[str]:
        # what `tcp dport` implies is shown, or not, as the rule was made
        return re.sub(
            r"packets \d+ bytes \d+ ?|meta l4proto (\w+) (?=\1 )", "", router.run("router", "nft -s list ruleset")
        ).splitlines()

    for number, chain in enumerate([*read()]):
        for rule in chain.rules:
            now = [*read()][number]  # the one that came back before it has another handle
            at = now.rules[rule.position - 1]
            if "icmp checksum" not in at.text:  # what nft prints of `th dport` behind `icmp`, and does not read again
                _deleted_and_back(router, at, now, "nft", rules, None)
    router.run("router", "nft flush ruleset")


def _deleted_and_back(
    router: Router, rule: Rule, chain: Chain, default: Backend, rules: Callable[[], list[str]], lacks: Counter[str] | None
) -> None:
    """`lacks`: the lines that go; None for one line, whatever it is."""
    before = rules()
    (edit,) = undo(rule, chain=chain, default=default)[0].edits
    for line in edit.commands:
        router.run("router", ["sh", "-c", _by_backend(line, default)])
    gone = Counter(before) - Counter(rules())
    assert gone.total() == 1 if lacks is None else gone == lacks, (edit.commands, gone)
    assert edit.undo, rule.text
    for line in edit.undo:
        router.run("router", ["sh", "-c", _by_backend(line, default)])
    assert rules() == before, edit.undo


def _by_backend(line: str, backend: Backend) -> str:
    """The program that is just `iptables` on a host of this backend."""
    name = backend.removeprefix("iptables-")
    return (
        line
        if backend == "nft"
        else f'iptables() {{ iptables-{name} "$@"; }}; ip6tables() {{ ip6tables-{name} "$@"; }}; {line}'
    )
