"""Whose rule dropped a packet and on what ground: one reason for each, decided here for all checks of the firewall."""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.docker_rules import by_nftables, docker_backend, missing, switched_off
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import RuleReason
from dockernet_doctor.netfilter.change import owner
from dockernet_doctor.netfilter.docker import is_docker_rule
from dockernet_doctor.netfilter.model import Chain, Decision, Rule


def reason_of(facts: HostFacts, where: str, decision: Decision) -> RuleReason:
    """Whose work a drop is, on the host or in the sandbox of the container `where`."""
    rule = decision.rule
    if where != "host":
        return "inside"
    backend = rule.backend if rule else decision.chain.backend if decision.chain else "nft"
    if rule is not None and is_docker_rule(rule, tuple(facts.bridges)):
        if rule.target.verdict == "drop" and (rule.comment == "ICC" if rule.backend == "nft" else _within_a_bridge(rule)):
            return "icc"
        translated = decision.packet is not None and decision.packet.dnat
        last = rule.comment == "UNPUBLISHED PORT DROP" if rule.backend == "nft" else rule.chain == "DOCKER"
        return "missing" if translated and last else "docker"
    if rule is None and _is_left_behind(facts, decision.chain):
        return "left-behind"
    if backend in ("iptables-nft", "iptables-legacy") and backend != docker_backend(facts):
        return "mixed"
    if rule is None and decision.chain is not None and decision.chain.name == "FORWARD" and backend != "nft":
        if switched_off(facts):
            return "disabled"
        if missing(facts):
            return "missing"
    return "missing" if _met_for_want_of_docker(facts, decision) else "foreign"


def _is_left_behind(facts: HostFacts, chain: Chain | None) -> bool:
    """True for the policy of an iptables FORWARD in which nothing of anybody else's stands, beside Docker's own nftables."""
    if chain is None or chain.backend == "nft" or chain.name != "FORWARD" or not by_nftables(facts):
        return False
    return all(is_docker_rule(rule, tuple(facts.bridges)) for rule in chain.rules)


def _within_a_bridge(rule: Rule) -> bool:
    inside, outside = rule.asks("inside"), rule.asks("outside")
    return bool(inside) and [(t.values, t.negated) for t in inside] == [(t.values, t.negated) for t in outside]


def _met_for_want_of_docker(facts: HostFacts, decision: Decision) -> bool:
    """True if somebody else's rule decides only since Docker's part is gone: its DNAT would have led a published port past
    INPUT, and its bridges would be in firewalld's zone `docker`, which accepts everything (20.10 and later put them there
    at the daemon's start; firewalld flushes all rules at its own)."""
    packet, at = decision.packet, decision.rule or decision.chain
    if packet is None or at is None:
        return False
    if owner(at) == "firewalld" and not {packet.in_interface, packet.out_interface}.isdisjoint(facts.bridges):
        return bool(missing(facts))
    here = packet.out_interface is None
    return here and any(part.host_port == packet.dport for part in missing(facts) if part.kind == "dnat")
