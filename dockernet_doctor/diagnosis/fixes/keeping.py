"""What keeps a change of the firewall beyond the next start or reload, in the words of who brings this host's rules back.

A rule that `iptables` or `nft` makes is gone when its manager loads its own again. So beside it stands what that manager keeps:
a direct rule of firewalld, a line in the files of ufw, netfilter-persistent and iptables-services, one in nftables.conf. Of
firewalld and ufw the words are tried with the programs themselves, and so are the files with iptables-restore and nft.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

from msgspec.structs import replace

from dockernet_doctor.diagnosis.change import Change, FileChange, FirewallChange, IpChange, RuleChange
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.addressing import to_be_kept, uplink
from dockernet_doctor.diagnosis.fixes.keeping_routing import kept_rules
from dockernet_doctor.diagnosis.fixes.settings import as_before
from dockernet_doctor.netfilter.docker import USER_CHAIN
from dockernet_doctor.netfilter.edit import Acceptance, PolicyAccepts, Removal, RuleEdit
from dockernet_doctor.shell import Replacement, Step, command, pattern, replacement, sed, step, then, write
from dockernet_doctor.snapshot.model import RuleFile, RuleLine
from dockernet_doctor.snapshot.secrets import MASK


def kept(facts: HostFacts, fix: Fix) -> Fix:
    """The fix with the lasting form of its changes of the host's rules behind them; as it is where none of them has one."""
    if fix.lasts == "permanent":
        return fix
    edits = [it.edit for it in fix.changes if isinstance(it, FirewallChange) and not it.inside and not it.edit.needs]
    by_firewalld = [edit for edit in edits if isinstance(edit, Acceptance) and edit.backend != "nft" and _has_firewalld(facts)]
    changes: list[Change] = [
        FileChange(forth=(edit.kept_by_firewalld("add"),), back=(edit.kept_by_firewalld("remove"),)) for edit in by_firewalld
    ]
    in_files = list(_by_file(facts, [edit for edit in edits if edit not in by_firewalld]))
    for file, held in _together(in_files):
        changes.append(FileChange(forth=(sed(file.path, *_steps(file, held)),), back=(as_before(file.path),)))
    for file, edit in in_files:
        if file.family is None and isinstance(edit, Acceptance | PolicyAccepts):
            added = then(write(file.path, "", edit.in_nft, append=True), command("nft", "-c", "-f", file.path))
            gone = sed(file.path, step("\\#^{}$#d", pattern("{}", edit.in_nft)))
            changes.append(FileChange(forth=(added,), back=(gone,)))
    by_line = list(_in_nft(facts, edits))
    for path, (main, lines) in _by_path(by_line).items():  # last, so that lines keep their numbers
        gone = sed(path, *(step("{}{{\\#{}#d;}}", it.number, pattern("{}", it.text)) for it in lines))
        changes.append(FileChange(forth=(then(gone, command("nft", "-c", "-f", main)),), back=(as_before(path),)))
    others = [it for it in fix.changes if not isinstance(it, FirewallChange | FileChange)]
    by_routing = kept_rules(facts, others)
    changes += by_routing
    if not by_routing and (link := _set_up_for(facts, others)):
        fix = replace(fix, summary=f"{fix.summary} {to_be_kept(facts, link)}")
    if comes_back := next((_said(file, line) for file, line in by_line if not _goes(line)), ""):
        fix = replace(fix, summary=f"{fix.summary} Take it out of {comes_back}, too, or it comes back.")
    if not changes or any(line.unsayable for change in changes for line in change.commands):
        return fix
    kept_edits = len(by_firewalld) + len(in_files) + sum(_goes(line) for _, line in by_line)
    all_kept = bool(by_routing or not others) and kept_edits == len(edits)
    lasting = Fix.of(
        *fix.changes,
        *changes,
        summary=fix.summary,
        impacts=tuple(dict.fromkeys((*fix.impacts, *(("edits-file",) if in_files or by_line or by_routing else ())))),
        lasts="permanent" if all_kept and fix.lasts == "until-reboot" else fix.lasts,
        runnable=fix.runnable,
        also=fix.also,
    )
    return replace(lasting, host=fix.host)


def _set_up_for(facts: HostFacts, changes: Sequence[Change]) -> str:
    """The link of this host with which lines of `ip rule` or a link on top of it have to be set up again; "" for none."""
    if any(not isinstance(it, IpChange) or it.inside for it in changes):
        return ""
    for it in changes:
        match it:
            case IpChange(forth=("link", "add", _, "link", parent, *_)):
                return parent
            case RuleChange(rule=rule) if it == RuleChange.added(rule):
                return link.name if (link := uplink(facts)) else ""
    return ""


def _has_firewalld(facts: HostFacts) -> bool:
    host = facts.host
    return host is not None and "firewalld" in host.active_firewalls and bool(host.programs.get("firewall-cmd"))


def _by_file(facts: HostFacts, edits: Iterable[RuleEdit]) -> Iterator[tuple[RuleFile, RuleEdit]]:
    """The edits that a file can keep: the first one that makes the chain, or holds the rule that is to go."""
    for edit in edits:
        files = facts.host.rule_files if facts.host else ()
        if (found := next((file for file in files if _can_keep(file, edit)), None)) is not None:
            yield found, edit


def _in_nft(facts: HostFacts, edits: Iterable[RuleEdit]) -> Iterator[tuple[RuleFile, RuleLine | None]]:
    """For each rule of nft that goes: the file that makes its chain, and its line there or in what that includes."""
    taken = list[RuleLine]()
    for edit in edits:
        files = facts.host.rule_files if facts.host and isinstance(edit, Removal) and edit.backend == "nft" else ()
        place = (edit.family, edit.table, edit.chain)
        file = next((file for file in files if file.family is None and place in file.chains), None)
        if file is None or not isinstance(edit, Removal):
            continue
        there = [it for it in file.lines if (it.family, it.table, it.chain) == place and it not in taken]
        found = there[edit.rule.position - 1 : edit.rule.position] if len(there) == edit.among else []
        if not any(_does(edit, it) for it in found):  # somebody else put rules there, or took some away
            found = [it for it in there if it.text.replace("counter ", "") == edit.rule.text.replace("counter ", "")]
        taken += found[:1]
        yield file, found[0] if len(found) == 1 else None


def _does(edit: Removal, line: RuleLine) -> bool:
    """True if the line ends with the same verdict: told by its place, a rule may be written in other words than nft prints."""
    target = edit.rule.target
    return (target.jumps_to or target.verdict) in line.text.split()


def _goes(line: RuleLine | None) -> bool:
    return line is not None and line.is_alone and MASK not in line.text


def _said(file: RuleFile, line: RuleLine | None) -> str:
    return f"{line.file} (line {line.number})" if line else file.path


def _by_path(found: Iterable[tuple[RuleFile, RuleLine | None]]) -> dict[str, tuple[str, list[RuleLine]]]:
    """The lines that a fix takes out of each file, and the file that nft loads."""
    paths: dict[str, tuple[str, list[RuleLine]]] = {}
    for file, line in found:
        if line is not None and _goes(line):
            paths.setdefault(line.file, (file.path, []))[1].append(line)
    return paths


def _can_keep(file: RuleFile, edit: RuleEdit) -> bool:
    makes = (edit.family, edit.table, edit.chain) in file.chains
    if edit.backend == "nft" or file.family is None:  # by a line at its end, which can delete no rule: that has no number yet
        return makes and edit.backend == "nft" and file.family is None and not isinstance(edit, Removal)
    if isinstance(edit, Removal):
        return edit.family == ("ip6" if file.family == 6 else "ip") and (edit.table, edit.rule.line) in file.rules
    return makes or (isinstance(edit, Acceptance) and _makes_room(file, edit))


def _makes_room(file: RuleFile, edit: RuleEdit) -> bool:
    """True if the file can make the chain, too: Docker keeps its chain for users, with its rules, where it is there first."""
    return edit.chain == USER_CHAIN and any((family, table) == (edit.family, edit.table) for family, table, _ in file.chains)


def _together(found: Iterable[tuple[RuleFile, RuleEdit]]) -> Iterator[tuple[RuleFile, list[RuleEdit]]]:
    """The edits of each file of iptables-restore: of one that is changed twice, what it was would be lost."""
    edits: dict[str, tuple[RuleFile, list[RuleEdit]]] = {}
    for file, edit in found:
        if file.family is not None:
            edits.setdefault(file.path, (file, []))[1].append(edit)
    yield from edits.values()


def _steps(file: RuleFile, edits: Sequence[RuleEdit]) -> Iterator[Step]:
    """What makes the edits in the file, each within its table; what changes a table's last line comes last."""
    accepts: dict[tuple[str, str], list[str]] = {}
    for edit in edits:
        if isinstance(edit, Removal):
            yield _within(edit.table, step("{{\\#^{}$#d;}}", pattern("{}", edit.rule.line)))
        elif isinstance(edit, PolicyAccepts):
            head, accepting = pattern(":{}", edit.chain), replacement(":{}", edit.chain)
            yield _within(edit.table, step("s#^{} DROP#{} ACCEPT#", head, accepting))
        elif isinstance(edit, Acceptance):
            accepts.setdefault((edit.table, edit.chain), []).insert(0, edit.saved)
    made = {(table, chain) for _, table, chain in file.chains}
    for (table, chain), rules in sorted(accepts.items(), key=lambda item: item[0] not in made):
        if (table, chain) in made:  # ahead of all others of the chain
            yield _within(table, step("s#^{} .*#{}#", pattern(":{}", chain), replacement("&\\n{}", _lines(rules))))
        else:
            yield _within(table, step("s#^COMMIT#{}#", replacement(":{} - [0:0]\\n{}\\nCOMMIT", chain, _lines(rules))))


def _within(table: str, inner: Step) -> Step:
    return step("\\#{}#,\\#^COMMIT#{}", pattern("^\\*{}", table), inner)


def _lines(rules: Sequence[str]) -> Replacement:
    first = replacement("{}", rules[0])
    return reduce(lambda lines, rule: replacement("{}\\n{}", lines, rule), rules[1:], first)
