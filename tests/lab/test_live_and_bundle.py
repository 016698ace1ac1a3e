"""The report from a bundle is the live one, whole: on a host with several faults, for check and for reach.

Every case of the lab compares the findings of both (`case.prove`); this test compares all that a report holds.
"""

from __future__ import annotations

import json
from difflib import unified_diff

import pytest

from tests.corpus import lasting
from tests.lab.host import Doctor, Host
from tests.lab.packages import ENGINES

SCENE = """
docker network create front
docker network create back
docker run -d --name web --network front -p 127.0.0.1:8080:80 net-test httpd -f -p 80
docker run -d --name db --network back net-test nc -lk -p 5432 -e cat
docker run -d --name api --network front -e DB_URL=postgres://db:5432/x -p 8081:81 net-test httpd -f -p 80
docker run -d --name idle --network back net-test sleep infinity
docker pause idle
iptables -I DOCKER-USER -p tcp --dport 81 -j DROP
"""
QUESTIONS = ("check", "check api", "reach outside web:80", "reach outside api:81")  # a bundle holds the answers of check only


@pytest.mark.parametrize(
    "engine",
    ["middle", *(pytest.param(engine, marks=pytest.mark.long) for engine in ENGINES if engine != "middle")],
    indirect=True,
)
def test_a_bundle_gives_the_whole_report_of_its_host(host: Host) -> None:
    try:
        host.run(SCENE)
        live = {question: host.doctor(f"{question} --format json") for question in QUESTIONS}
        host.run("rm -f /run/home/bundle")
        assert host.doctor("collect /run/home/bundle").status == 0
        for question, asked in live.items():
            again = host.doctor(f"{question} --format json --bundle /run/home/bundle")
            assert asked.findings, question
            assert again.status == asked.status
            differing = "\n".join(unified_diff(whole(asked), whole(again), question, "its bundle", n=2, lineterm=""))
            assert not differing, differing
    finally:
        host.run("iptables -D DOCKER-USER -p tcp --dport 81 -j DROP", check=False)


def whole(asked: Doctor) -> list[str]:
    """The report's lines, less what a second look at the same host changes: how long an answer took, what a rule has counted,
    and which of those on a wire stands for them in the packet that is evaluated."""
    kept = lasting(asked.report)
    for name in ("probes", "probe_counts"):  # collect sends those of check, a question its own
        kept.pop(name)
    for path in kept["paths"]:
        path["samples"] = None
    for finding in kept["findings"]:
        finding["evidence"] = [e for e in finding["evidence"] if e["fact"] != "packet" and "counter" not in e["fact"]]
    return json.dumps(kept, indent=1, ensure_ascii=False).splitlines()
