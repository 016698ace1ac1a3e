"""A mended rule is still mended once the host's own service has loaded its rules again."""

from __future__ import annotations

import pytest

from tests.lab.case import FaultCase, prove
from tests.lab.host import Host

WEB = "docker run -d --name web -p 8080:80 net-test httpd -f -p 80 -h /www"
WORKS = "curl -fsS -m 1 http://$HOST:8080"
ENABLED = "mkdir -p /etc/iptables /etc/systemd/system/x.wants; ln -sf /etc/passwd /etc/systemd/system/x.wants/{}.service; "
SAVE = "iptables-save > /etc/iptables/rules.v4"
GUARD = """cat > /etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
table inet guard
delete table inet guard
table inet guard {
  chain forwarded {
    type filter hook forward priority 10; policy drop;
    ct state established,related accept
    iifname "docker0" accept
  }
}
END
nft -f /etc/nftables.conf"""
RULE = GUARD.replace("policy drop", "policy accept").replace('iifname "docker0" accept', "tcp dport 80 counter drop  # http")
AFTER = """cat >> /etc/ufw/after.rules <<'END'
*filter
:DOCKER-USER - [0:0]
-A DOCKER-USER -p tcp -m tcp --dport 80 -j DROP
COMMIT
END
ufw reload"""

CASES = {
    "netfilter-persistent": (
        ENABLED.format("netfilter-persistent") + f"{WEB}; {SAVE}",
        f"iptables -I DOCKER-USER -p tcp -m tcp --dport 80 -j DROP; {SAVE}",
        "iptables-restore < /etc/iptables/rules.v4",
    ),
    "netfilter-persistent-allow-list": (
        ENABLED.format("netfilter-persistent") + f"{WEB}; {SAVE}",
        (
            "iptables -I DOCKER-USER -i eth1 -j DROP; iptables -I DOCKER-USER -s 192.0.2.1 -j ACCEPT; "
            f"iptables -I DOCKER-USER -i eth1 -p tcp --dport 22 -j RETURN; {SAVE}"
        ),
        "iptables-restore < /etc/iptables/rules.v4",
    ),
    "nftables": (ENABLED.format("nftables") + WEB, GUARD, "nft -f /etc/nftables.conf"),
    "nftables-rule": (ENABLED.format("nftables") + WEB, RULE, "nft -f /etc/nftables.conf"),
    "ufw": (f"ufw allow 22/tcp; ufw --force enable; {WEB}", AFTER, "ufw reload"),
}


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
@pytest.mark.long
@pytest.mark.parametrize("keeper", CASES)
def test_what_is_mended_stays_mended(host: Host, keeper: str) -> None:
    healthy, broken, reload = CASES[keeper]
    case = FaultCase(
        cause="firewall-drops-traffic",
        healthy=healthy,
        broken=broken,
        symptom=WORKS,
        vantage="neighbour",
        reach="outside web:80",
        check="listed",
        quiet=False,
        replay=False,
        verify=lambda _host, asked: _says_lasting(asked.findings[0]["fixes"][0]),
    )
    prove(host, case)
    host.run(reload)
    host.neighbour.run(WORKS)


def _says_lasting(fix: dict[str, object]) -> None:
    assert fix["lasts"] == "permanent", fix
