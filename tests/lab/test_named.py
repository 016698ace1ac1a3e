"""`check NAME`, as a ticket about NAME needs it: nothing wrong, what is ignored, what ended beside it, its way out."""

from __future__ import annotations

import pytest

from tests.lab.host import Host

HTTPD = "net-test httpd -f -p"


@pytest.mark.parametrize("engine", ["newest"], indirect=True)
def test_a_ticket_about_one_container(host: Host) -> None:
    host.docker("network create --subnet 172.31.0.0/24 app")
    host.docker(f"run -d --name db --network app -p 127.0.0.1:5432:80 {HTTPD} 80")
    host.docker(
        f"run -d --name web --network app -p 8080:80 -e DB_URL=http://db:80 -e PAY_URL=https://api.stripe.com {HTTPD} 80"
    )
    for job in ("job1", "job2"):
        host.docker(f"run --name {job} net-test true")
    host.docker(f"run -d --name metrics --network host -p 9100:9100 {HTTPD} 9101")

    well = host.doctor("check web")
    assert (well.status, well.stdout.splitlines()[0]) == (0, "✓ no fault found for web.")
    assert "this host → web:80, other machines → web:80 and web → db:80." in " ".join(well.stdout.split())
    assert "ignores its published port 9100:9100" in host.doctor("check metrics").stdout
    assert host.doctor("check job1").stdout.count("job1 is not running") == 1
    every = host.doctor("check --format json").report["findings"]
    assert [f["subject"]["kind"] for f in every if f["cause"] == "container-not-running"] == ["host"]

    host.docker("stop web")
    host.docker(f"run -d --name worker --network app -e PAY_URL=https://api.stripe.com {HTTPD} 80")
    assert host.doctor("check worker").status == 0
    host.run("iptables -I DOCKER-USER -s 172.31.0.0/24 -o eth1 -j DROP")
    barred = host.doctor("check worker --format json")
    assert (barred.status, barred.report["findings"][0]["cause"]) == (1, "firewall-drops-traffic")
    assert "api.stripe.com" in barred.report["findings"][0]["summary"]
