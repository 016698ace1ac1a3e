"""What is predicted without a packet, and what plain tools then see: a generated topology, several firewalls, many questions.

The prediction is read once for all questions of a state of the host; curl and nc ask the same from the very namespaces.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.lab.asking import ask
from tests.lab.host import Host, Lab
from tests.lab.packages import ENGINES, NFTABLES
from tests.lab.topology import Box, Question, any_address, ask_all, asked_again, build, questions, topology
from tests.lab.worlds import Wires, World, verdict


@pytest.mark.parametrize("engine", [*ENGINES, NFTABLES], indirect=True)
@pytest.mark.parametrize(
    ("seed", "of_each"),
    [pytest.param(int(os.environ["LAB_SEED"]), 30, id="sample"), pytest.param(4, 100, id="all", marks=pytest.mark.long)],
)
def test_prediction_and_reality_agree(host: Host, seed: int, of_each: int) -> None:
    """`of_each` is the number of questions for each state of the host."""
    chance = random.Random(seed)
    boxes = list(topology(chance))
    build(host, boxes)
    wrong, unknown, asked = [], [], 0
    for state, change in _states(chance, boxes, users="FORWARD" if host.engine == NFTABLES else "DOCKER-USER").items():
        host.run(["sh", "-ec", change])
        near: list[Question] = []
        far: list[Question] = []
        for question in questions(host, boxes):
            (near if question.near else far).append(question)
        drawn = chance.sample(near, of_each * 2 // 3) + chance.sample(far, of_each - of_each * 2 // 3)
        _checked, *predicted = ask(host, [(question.source, question.target) for question in drawn], probes=False)
        truths = ask_all(host, boxes, drawn)
        asked += len(drawn)
        for question, answer, truth in zip(drawn, predicted, truths, strict=True):
            if answer["verdict"] == "unknown":
                unknown.append(f"{state}: {question}: {answer}")
            elif (answer["verdict"] == "reachable") is not truth and asked_again(host, boxes, question) is truth:
                wrong.append(f"{state}: {question} is {'' if truth else 'not '}answered: {answer}")
    assert asked == 3 * of_each
    assert not wrong, f"seed {seed}: {len(wrong)} of {asked} differ\n" + "\n\n".join(wrong)
    assert len(unknown) <= asked * 0.02, f"seed {seed}: {len(unknown)} of {asked} unknown\n" + "\n\n".join(unknown)


def _states(chance: random.Random, boxes: list[Box], *, users: str) -> dict[str, str]:
    """Changes to the host, each on top of the one before; `users` is the chain of iptables that is the operator's."""
    running = [box for box in boxes if any(box.addresses.values()) and box.name not in ("box10", "box11")]
    one, two, three, four = chance.sample(running, 4)
    more = any_address(three)
    return {
        "as made": "true",
        "rules in many places": f"""
iptables -I {users} -i eth1 -p tcp -m conntrack --ctorigdstport {one.port} -j DROP
iptables -I {users} -d {any_address(two)} -p udp --dport 53 -j REJECT
iptables -I {users} -s {any_address(three)} -m addrtype ! --dst-type LOCAL -j DROP
iptables -I INPUT -i beta0 -p tcp -m multiport --dports 9000:9200 -j REJECT --reject-with tcp-reset
iptables -I OUTPUT -d {any_address(four)} -p tcp --dport 80 -j DROP
nsenter -t {two.pid} -n iptables -I INPUT -p tcp --dport 80 -s {any_address(one)} -j DROP
ip6tables -I FORWARD -d fd00:66::/64 -p tcp --dport 80 -i eth1 -j DROP
iptables -t raw -I PREROUTING -m rpfilter --invert -j DROP
nft 'table inet back {{ chain p {{ type filter hook prerouting priority -290; fib saddr . mark . iif oif missing drop; }}; }}'
nft 'table inet more {{ chain f {{ type filter hook forward priority 10; ip daddr {more} tcp dport 8000 drop; }}; }}'
docker stop -t 0 box10""",
        "closed by default, links and routes gone": f"""
iptables -P FORWARD DROP; iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -i eth1 -p tcp --dport 9100 -j ACCEPT; iptables -A INPUT -i docker0 -j ACCEPT
nsenter -t {one.pid} -n ip route del default || true
nsenter -t {four.pid} -n ip link set eth0 down
ip route add blackhole {any_address(two)}""",
    }


# --- several uplinks, and what an operator may have set up beside Docker


@pytest.mark.parametrize(
    ("engine", "seed", "worlds"),
    [
        pytest.param("newest", 1, 4, id="newest-sample"),
        *(pytest.param(e, int(os.environ["LAB_SEED"]), 40, id=f"{e}-all", marks=pytest.mark.long) for e in ENGINES),
    ],
    indirect=["engine"],
)
def test_worlds_and_reality_agree(lab: Lab, engine: str, seed: int, worlds: int) -> None:
    """Of each world 25 questions, of which those are left out that other machines decide."""
    host = lab.host(engine)
    boxes = list(topology(random.Random(seed)))
    build(host, boxes)
    wires = Wires(lab, host, boxes)
    wrong: list[str] = []
    unknown: list[str] = []
    asked = 0
    for number in range(worlds):
        world = World(f"{seed}.{number}", wires.wires, boxes)
        host.run(["sh", "-c", world.script])
        drawn = world.questions(host, 25)
        _checked, *answers = ask(host, [(question.source, question.target) for question in drawn], probes=False)
        decided = wires.decided(drawn)
        for question, answer in zip(drawn, answers, strict=True):
            truth, told = decided.get(question), verdict(question, answer)
            if truth is None or told is None:
                continue
            asked += 1
            said, path = told
            text = f"world {seed}.{number} ({', '.join(world.names)}): {question} is {'' if truth else 'not '}answered: {path}"
            if said == "unknown":
                unknown.append(text)
            elif (said == "reachable") is not truth and asked_again(host, boxes, question) is truth:
                wrong.append(text)
        wires.restore()
    assert asked >= worlds * 12
    assert not wrong, f"{len(wrong)} of {asked} differ\n" + "\n\n".join(wrong)
    assert len(unknown) <= asked * 0.02, f"{len(unknown)} of {asked} unknown\n" + "\n\n".join(unknown)


# --- what no reading tells, on either side

QUEUE = """
veth=$(ip -o link show master docker0 | sed -E 's/^[0-9]+: ([^@]+)@.*/\\1/')
tc qdisc {} dev $veth root {}
"""


def test_what_was_predicted_to_work_and_fails(host: Host) -> None:
    """A queue too short for any packet takes what is sent to a container, and queues are not read."""
    host.docker("run -d --name web net-test httpd -f -p 80 -h /www")
    host.wait(lambda: host.doctor("reach host web:80 --format json").causes == [])
    host.run(QUEUE.format("replace", "bfifo limit 1"))
    answer = host.doctor("reach host web:80 --format json")
    host.run(QUEUE.format("del", ""))
    assert answer.report["verdict"] == "unreachable"
    failure, disagreement = answer.findings
    assert (failure["cause"], failure["severity"]) == ("unexplained-failure", "error")
    assert (disagreement["cause"], disagreement["because_of"]) == ("prediction-contradicted", failure["id"])
    assert {"predicted filter", "predicted listener"} <= {item["fact"] for item in disagreement["evidence"]}


def test_what_was_predicted_to_fail_and_works(host: Host) -> None:
    """A switch that sends frames back where they came from brings a host to its own macvlan children; no host knows that."""
    host.run("docker network create -d macvlan --subnet 10.99.0.0/24 --ip-range 10.99.0.192/28 -o parent=eth1 lan")
    host.run("docker run -d --name web --net lan net-test httpd -f -p 80 -h /www")
    answer = host.doctor("reach host web:80 --format json")
    assert (answer.report["verdict"], answer.causes) == ("unreachable", ["macvlan-host-isolated"])
    hairpin = "for port in $(ls /sys/class/net/wire/brif); do bridge link set dev $port hairpin {}; done"
    host.wire.run(hairpin.format("on"))
    try:
        answer = host.doctor("reach host web:80 --format json")
    finally:
        host.wire.run(hairpin.format("off"))
    assert (answer.status, answer.report["verdict"], answer.causes) == (0, "reachable", ["prediction-contradicted"])
    assert "cannot talk to its own children" in answer.findings[0]["summary"]
