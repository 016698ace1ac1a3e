"""A rule in one line, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockernet_doctor.once import once_for_each

if TYPE_CHECKING:
    from dockernet_doctor.netfilter.model import Chain, Decision, Rule


@once_for_each
def describe(rule: Rule) -> str:
    """`rule 3 of DOCKER-USER (filter): -s 10.0.0.0/8 -j DROP`"""
    return f"rule {rule.position} of {rule.chain} ({_table(rule)}): {wording(rule) or '(no match, no target)'}"


def wording(rule: Rule) -> str:
    """Its matches and its target: `-s 10.0.0.0/8 -j DROP`"""
    return rule.text.removeprefix(f"-A {rule.chain}").strip()


def describe_policy(chain: Chain) -> str:
    """`the policy DROP of FORWARD (filter)`"""
    return f"the policy {chain.policy} of {chain.name} ({_table(chain)})"


def describe_decision(decision: Decision) -> str:
    """What decided: its rule, its policy, or what could not be told."""
    if decision.verdict == "unknown" and decision.unknown is not None:
        where = f" in {describe(decision.unknown.rule)}" if decision.unknown.rule else ""
        return f"cannot be told: {decision.unknown.what}{where}"
    if decision.rule is not None:
        return describe(decision.rule)
    if decision.policy is not None and decision.chain is not None:
        return describe_policy(decision.chain)
    return "no rule"


def _table(of: Rule | Chain) -> str:
    if of.backend == "nft":
        return f"nft {of.family} {of.table}"
    program = "ip6tables" if of.family == "ip6" else ""
    return ", ".join(
        part for part in (" ".join(p for p in (program, of.table) if p), "legacy" if "legacy" in of.backend else "") if part
    )
