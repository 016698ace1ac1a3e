"""Who keeps rules and links: what a bundle says of it names files that fixes write to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dockernet_doctor.snapshot.model import LinkKeeper, RuleFile, RuleLine
from dockernet_doctor.snapshot.rule_files import read_rule_files


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ufw/../shadow", "/etc/iptables/rules.v4 -e x", ""])
def test_a_bundle_names_no_other_file_of_rules(path: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": path, "keeper": "ufw", "family": 4}, RuleFile)


@pytest.mark.parametrize("name", ["../../x.network", "a/b", "..", ".network", "x: {y", "a\nb", "-x"])
def test_a_bundle_leads_no_drop_in_elsewhere(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"link": "eth0", "keeper": "networkd", "name": name}, LinkKeeper)
    assert msgspec.convert({"link": "eth0", "keeper": "networkd", "name": "10-netplan-wan.1.network"}, LinkKeeper)


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/../root/x.nft", "/root/x.nft", "/etc/a b.nft", "/etc/x.nft;y"])
def test_a_bundle_names_no_other_file_of_nft(path: str) -> None:
    line = {"file": path, "number": 1, "family": "inet", "table": "t", "chain": "c", "text": "drop"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(line, RuleLine)


def test_rules_of_nft_are_read_with_their_lines_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "etc/nftables.d").mkdir(parents=True)
    (tmp_path / "etc/runlevels/boot").mkdir(parents=True)
    (tmp_path / "etc/runlevels/boot/nftables").touch()
    main = """\
table inet t {
  set s { type ipv4_addr; elements = { 192.0.2.1,
    192.0.2.2 } }
  chain c { type filter hook input priority 0; policy drop;
    tcp dport { 80, 443 } accept # chain x { drop }
    log prefix "a { b; c " comment "token=hunter2hunter2"
    udp dport { 53,
      54 } drop; drop
  }
}
include "nftables.d/*.nft"
"""
    (tmp_path / "etc/nftables.conf").write_text(main)
    (tmp_path / "etc/nftables.d/a.nft").write_text('add rule inet t c \\\n counter\ninclude "/etc/nftables.d/a.nft"')
    (tmp_path / "etc/nftables.d/b.nft").symlink_to("/etc/passwd")
    (file,) = read_rule_files(str(tmp_path), ufw=False)
    assert file.chains == (("inet", "t", "c"),)
    assert [(it.file, it.number, it.text, it.is_alone) for it in file.lines] == [
        ("/etc/nftables.conf", 5, "tcp dport { 80, 443 } accept", True),
        ("/etc/nftables.conf", 6, 'log prefix "a { b; c " comment "token=***"', True),
        ("/etc/nftables.conf", 7, "udp dport { 53, 54 } drop", False),
        ("/etc/nftables.conf", 8, "drop", False),
        ("/etc/nftables.d/a.nft", 1, "counter", False),
    ]
