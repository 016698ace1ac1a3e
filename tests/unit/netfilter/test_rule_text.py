"""Rules are asked by their records: who reads the text of one, and for what."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
KNOWS_RULES = ("netfilter", "rulesets", "decision", ".rule")
OF_A_RULE = {
    "dockernet_doctor/netfilter/model.py": {"self.line", "self.expressions"},  # gives its records and its text
    "dockernet_doctor/netfilter/nft.py": {"true.expressions"},  # reads the dump
    "dockernet_doctor/netfilter/iptables_rules.py": {"rule.line"},  # compiles it for the evaluator
    "dockernet_doctor/netfilter/walk.py": {"rule.line", "rule.expressions", "rule.text"},  # the same, and names doubts
    "dockernet_doctor/netfilter/describe.py": {"rule.text"},  # words it for people
    # repeats it in the commands that delete it and put it back, and finds it in the dump
    "dockernet_doctor/netfilter/edit.py": {
        "rule.line",
        "other.line",
        "rule.text",
        "rule.expressions",
        "self.traffic.expressions",  # a method
        "dump.text",
    },
    # finds a rule again in the file that brings it back, of which the others are lines
    "dockernet_doctor/diagnosis/fixes/keeping.py": {"edit.rule.line", "edit.rule.text", "it.text", "line.text"},
    "dockernet_doctor/probe/counters.py": {"rule.text"},  # finds its counter again in a second dump
    "dockernet_doctor/diagnosis/paths/filtering.py": {"rule.text"},  # finds its counter among those that moved
}
OF_OTHER_THINGS = {
    "dockernet_doctor/diagnosis/facts/daemon.py": {"line.text"},  # of a log
    "dockernet_doctor/diagnosis/facts/host.py": {"dump.text", "d.text"},
    "dockernet_doctor/diagnosis/paths/names.py": {"dump.text"},  # counts an address before it has the rules read
    "dockernet_doctor/netfilter/dumps.py": {"dump.text"},
    "dockernet_doctor/snapshot/host.py": {"dump.text"},
    "dockernet_doctor/snapshot/rule_files.py": {"it.text"},  # a statement of a file
    "dockernet_doctor/snapshot/pseudonyms.py": {"self.text"},  # a method
    "checks/dockernet_doctor_checks/firewall/bridge_netfilter_off.py": {"shell.line"},  # a function
}


def test_nobody_else_reads_the_text_of_a_rule() -> None:
    found = {}
    for path in sorted((*(ROOT / "dockernet_doctor").rglob("*.py"), *(ROOT / "checks").rglob("*.py"))):
        source = path.read_text()
        if any(word in source for word in KNOWS_RULES):
            found[str(path.relative_to(ROOT))] = {
                ast.unparse(node)
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.Attribute) and node.attr in ("line", "text", "expressions")
            }
    assert {name: read for name, read in found.items() if read} == OF_A_RULE | OF_OTHER_THINGS
