"""A rule in one line, for people."""

from __future__ import annotations

from dockernet_doctor.netfilter.model import Chain, Rule


def describe(rule: Rule) -> str:
    """`rule 3 of DOCKER-USER (filter): -s 10.0.0.0/8 -j DROP`"""
    raise NotImplementedError


def describe_policy(chain: Chain) -> str:
    """`the policy DROP of FORWARD (filter)`"""
    raise NotImplementedError
