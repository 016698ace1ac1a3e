"""Who keeps rules and links: what a bundle says of it names files that fixes write to."""

from __future__ import annotations

import msgspec
import pytest

from dockernet_doctor.snapshot.model import LinkKeeper, RuleFile


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ufw/../shadow", "/etc/iptables/rules.v4 -e x", ""])
def test_a_bundle_names_no_other_file_of_rules(path: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": path, "keeper": "ufw", "family": 4}, RuleFile)


@pytest.mark.parametrize("name", ["../../x.network", "a/b", "..", ".network", "x: {y", "a\nb", "-x"])
def test_a_bundle_leads_no_drop_in_elsewhere(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"link": "eth0", "keeper": "networkd", "name": name}, LinkKeeper)
    assert msgspec.convert({"link": "eth0", "keeper": "networkd", "name": "10-netplan-wan.1.network"}, LinkKeeper)
