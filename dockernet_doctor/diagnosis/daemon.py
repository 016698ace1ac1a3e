"""The daemon's configuration as a diagnosis needs it: an option's value, where it is written, and how to change it there.

Flags stand in unit files, drop-ins and environment files, keys in daemon.json; a change has to go where the option is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from dockernet_doctor.moments import moment
from dockernet_doctor.netfilter.change import undo, undo_policy
from dockernet_doctor.netfilter.describe import describe_decision
from dockernet_doctor.netfilter.evaluate import journey, locality
from dockernet_doctor.netfilter.model import Context, Decision, Packet
from dockernet_doctor.netfilter.model import Route as PacketRoute
from dockernet_doctor.shell import Command, Pattern, Replacement, command, pattern, replacement, sed, step, then, write
from dockernet_doctor.snapshot.daemon_options import KINDS, Setting, Written, flag_name, running, written
from dockernet_doctor.snapshot.model import LogLine, Protocol, TextFile

from .facts import HostFacts
from .finding import Evidence, Fix
from .routing import lookup
from .settings import edit_daemon_json, restart_command, restart_impacts

_DROP_IN = "/etc/systemd/system/docker.service.d"
_PACKAGED = ("/usr/lib/", "/lib/", "/usr/local/lib/")


def is_down(facts: HostFacts) -> bool:
    """Whether the daemon gave no answer at all, the socket being there or not."""
    problem = facts.snapshot.problem
    return facts.snapshot.engine is None and problem is not None and problem.kind in ("no-socket", "refused", "timeout")


def nobody_behind_socket(facts: HostFacts) -> bool:
    """Whether systemd's socket takes connections for a daemon that does not run: who connects waits for ever."""
    state, problem = facts.snapshot.daemon, facts.snapshot.problem
    if problem is None or problem.kind != "timeout" or not state.readable or state.pid is not None:
        return False
    ended = state.service_state == "activating" and last_failure(facts) is not None  # and is tried again and again
    return ended or state.service_state in ("failed", "inactive")


def files_say(facts: HostFacts) -> Written:
    return written(facts.snapshot.daemon)


def option(facts: HostFacts, key: str) -> Setting | None:
    """The option as it runs; of a daemon that does not run, as its files have it."""
    daemon = facts.snapshot.daemon
    now = running(daemon)
    return now.get(key) if now is not None else written(daemon).get(key)


def writes_ipv6_rules(facts: HostFacts) -> bool:
    """Whether the daemon makes firewall rules for IPv6: from 27 unless told otherwise, before it where it is told to."""
    found = option(facts, "ip6tables")
    return found.value == "true" if found else facts.generation >= (27, 0)


def without_proxy(facts: HostFacts) -> Setting | None:
    """The option `userland-proxy: false`, where the daemon runs with it."""
    found = option(facts, "userland-proxy")
    return found if found is not None and found.value == "false" else None


def last_failure(facts: HostFacts) -> LogLine | None:
    """Why the daemon ended at its last start; None where it came up since, or its log does not say."""
    failure = None
    for line in facts.snapshot.daemon.log:
        if line.text.startswith(("Daemon has completed init", "API listen on")):
            failure = None
        elif line.level in ("fatal", "panic"):
            failure = line
    return failure


# Options without which a daemon that starts is another one: elsewhere, or without its data.
_NEEDED = frozenset({"hosts", "data-root", "graph", "exec-root", "pidfile", "containerd", "config-file", "cgroup-parent"})


def named_option(facts: HostFacts, words: str) -> Setting | None:
    """The option of the files whose value, or else whose name, stands in the daemon's last words: the longest such value,
    the first of two flags that exclude each other."""
    settings = [s for s in files_say(facts).settings if s.key not in _NEEDED]
    values = [(len(part), s) for s in settings for value in s.values for part in _parts(value) if part in words]
    if values:
        return max(values, key=lambda found: found[0])[1]
    if "local address space" in words:
        return next((s for s in settings if s.key == "default-address-pools"), None)
    flags = [(match.start(), s) for s in settings if (match := re.search(rf"(?<![\w-])({_flags(s.key)})(?![\w-])", words))]
    if flags:
        return min(flags, key=lambda found: found[0])[1]
    named = (s for s in settings for value in s.values if f"{s.key}: {value}".lower() in words.lower())  # "default MTU: -1"
    if (option := next(named, None)) is not None:
        return option
    spoken = (s for s in settings if "-" in s.key and re.search(_phrase(s.key), words, re.IGNORECASE))
    return next(spoken, None)


def _phrase(key: str) -> str:
    """How a sentence names an option: "insecure registry" for insecure-registries."""
    stem = re.sub("(ies|s)$", "", key).replace("-", "[- ]")
    return rf"\b{stem}(y|ies|s)?\b"


def _parts(value: str) -> list[str]:
    """What of a value tells it from others: all of it; of KEY=VALUE also a dotted key, and a path."""
    parts = [value, *(part for part in value.split("=") if re.search("[./]", part))]
    return [part for part in parts if len(part) > 2 and part not in ("true", "false")]


def logged(facts: HostFacts, pattern: str) -> LogLine | None:
    """The last line of the daemon's log that matches, since its last start (and of the failed one before it)."""
    expression = re.compile(pattern)
    return next((line for line in reversed(facts.snapshot.daemon.log) if expression.search(line.text)), None)


def lately(facts: HostFacts, line: LogLine) -> bool:
    """Whether it was said within a day of the reading: a daemon that has run for months remembers what has healed since."""
    try:
        age = moment(facts.snapshot.taken_at) - moment(line.time)
    except (ValueError, TypeError):  # no time, or one without a zone
        return True
    return age < timedelta(days=1)


def log_evidence(facts: HostFacts, line: LogLine | None) -> tuple[Evidence, ...]:
    if line is None:
        return ()
    times = f" ({line.repeated} times)" if line.repeated > 1 else ""
    return (Evidence(fact=f"log{times}", value=line.text, source=facts.snapshot.daemon.log_source or "the daemon's log"),)


def setting_evidence(setting: Setting | None) -> tuple[Evidence, ...]:
    if setting is None:
        return ()
    return (Evidence(fact=setting.key, value=", ".join(setting.values), source=setting.where),)


def way_to(facts: HostFacts, address: str) -> str | None:
    """The interface by which this host reaches an address, for `INTERFACE:2376`; None where that is not known."""
    if facts.stack is None:
        return None
    try:
        found = lookup(facts.stack, address)
    except ValueError:
        return None
    return found.link if found.kind == "unicast" else None


def decided(
    facts: HostFacts, source: str, destination: str, port: int, protocol: Protocol, *, arriving: bool
) -> Decision | None:
    """What this host's firewall does to a packet of the overlay's own traffic; None where it lets it pass, or the rules
    are not known. `arriving`: from another host to this one; else it is sent by this one."""
    stack, rulesets = facts.stack, facts.rulesets
    if stack is None or not rulesets:
        return None
    link = way_to(facts, source if arriving else destination)

    def route(packet: Packet) -> PacketRoute:
        own = facts.is_own(packet.destination)
        return PacketRoute(kind="local") if own else PacketRoute(kind="forward", out_interface=link)

    packet = Packet(
        family=6 if ":" in destination else 4,
        protocol=protocol,
        source=source,
        destination=destination,
        sport=45000,
        dport=port,
        in_interface=link if arriving else None,
        out_interface=None if arriving else link,
    )
    context = Context(locality=locality(facts.own_addresses), route=route, ipsets=facts.ipsets)
    went = journey(rulesets, packet, context)
    return went.decision if went.verdict in ("drop", "reject") else None


def rule_text(decision: Decision) -> str:
    """The rule or policy that decided, for a sentence."""
    return describe_decision(decision)


def allow(decision: Decision) -> Iterator[Fix]:
    """Ways to let the packet of a decision pass, the best first."""
    if decision.rule is not None:
        changes = undo(decision.rule, decision.packet, chain=decision.chain)
    elif decision.chain is not None and decision.packet is not None:
        changes = undo_policy(decision.chain, decision.packet, docker_user=False)
    else:
        return
    for change in changes:
        yield Fix(summary=change.summary, commands=change.commands, impacts=("changes-firewall",), lasts=change.lasts)


# --- changes --------------------------------------------------------------------------------------------------------


def set_option(facts: HostFacts, key: str, value: str | None, *, summary: str) -> Fix:
    """Give an option that is written somewhere another value there, or none at all (value None), and restart the daemon."""
    now = files_say(facts)
    said = now.get(key)
    if said is not None and said.where.startswith(f"{now.json_path}:"):
        if value is None:
            return edit_daemon_json(facts, remove=[key], summary=summary)
        return edit_daemon_json(facts, {key: value}, summary=summary)
    if value is None:
        return drop_flag(facts, key, summary=summary)
    flag = flag_name(key)
    return edit_flags(facts, (pattern("({}[= ][\"']?)[^[:space:]\"']*", flag), replacement(r"\1{}", value)), summary=summary)


def add_option(facts: HostFacts, key: str, value: str, *, beside: str, summary: str) -> Fix:
    """Write a new option where another one, `beside`, is written, and restart the daemon."""
    now = files_say(facts)
    said = now.get(beside)
    if said is None or said.where.startswith(f"{now.json_path}:"):
        return edit_daemon_json(facts, {key: value}, summary=summary)
    there = pattern("({}[= ][^[:space:]\"']*)", flag_name(beside))
    return edit_flags(facts, (there, replacement(r"\1 {}={}", flag_name(key), value)), summary=summary)


def add_host(facts: HostFacts, url: str, *, summary: str) -> Fix:
    """One more address to listen at, beside those that are written, and restart the daemon."""
    now = files_say(facts)
    said = now.get("hosts")
    if said is not None and said.where.startswith(f"{now.json_path}:"):
        return edit_daemon_json(facts, {"hosts": [*said.values, url]}, summary=summary)
    there = pattern("([[:space:]]+{})", host_flag(said.values[0] if said else ""))
    return edit_flags(facts, (there, replacement(r"\1 -H {}", url)), summary=summary)


def without_hosts(facts: HostFacts, urls: Sequence[str], *, summary: str) -> Fix:
    """Addresses to listen at no more, the others staying, and restart the daemon."""
    now = files_say(facts)
    said = now.get("hosts")
    if said is not None and said.where.startswith(f"{now.json_path}:"):
        return edit_daemon_json(facts, {"hosts": [url for url in said.values if url not in urls]}, summary=summary)
    return edit_flags(facts, *((host_flag(url), None) for url in urls), summary=summary)


def without_tls(facts: HostFacts, *, summary: str) -> Fix:
    """Its socket alone, neither TCP nor the certificates for it, and restart the daemon."""
    now = files_say(facts)
    keys = [s.key for s in now.settings if s.key.startswith("tls")]
    hosts = now.get("hosts")
    urls = [url for url in hosts.values if url.startswith("tcp:")] if hosts else []
    rest = [url for url in hosts.values if url not in urls] if hosts else []
    in_file = {s.key for s in now.settings if s.where.startswith(f"{now.json_path}:")} & {*keys, "hosts"}
    if not in_file:
        words = [_flag_and_value(key) for key in ("tlscacert", "tlscert", "tlskey", "tlsverify", "tls")]
        return edit_flags(facts, *((word, None) for word in (*words, *map(host_flag, urls))), summary=summary)
    if in_file == {*keys, *(["hosts"] if hosts else [])}:
        return edit_daemon_json(facts, {"hosts": rest} if rest else {}, remove=[*keys, "hosts"], summary=summary)
    return Fix(summary=summary, impacts=("edits-file",), runnable=False)


def start_containerd(facts: HostFacts) -> Fix | None:
    """For a daemon that finds nobody at the socket of containerd that it was given; None where it was given none."""
    now = files_say(facts)
    said = now.get("containerd")
    if said is None:
        return None
    if said.where.startswith(f"{now.json_path}:"):
        without = f"Take containerd ({said.value}) out of {now.json_path}: dockerd starts one of its own then."
        return edit_daemon_json(facts, remove=["containerd"], summary=without)
    return Fix(
        summary=f"Start containerd, which listens at {said.value}, and then the daemon.",
        commands=(command("systemctl", "start", "containerd"), restart_command(facts)),
        impacts=restart_impacts(facts),
    )


def host_flag(url: str) -> Pattern:
    """The pattern, for `edit_flags`, of the flag that has the daemon listen at this address."""
    return pattern("(-H|--host)[= ]?[\"']?{}[\"']?", url)


def drop_flag(facts: HostFacts, key: str, *, summary: str) -> Fix:
    """Take a flag, every time it is there, out of the service's command, and restart the daemon."""
    return edit_flags(facts, (_flag_and_value(key), None), summary=summary)


def _flag_and_value(key: str) -> Pattern:
    """The pattern of a flag; the word after one that is true or false is not its value."""
    if KINDS.get(key) == "bool":
        return pattern("({})(=[^[:space:]\"']*)?", _flags(key))
    return pattern("({})[= ][^[:space:]\"']*", _flags(key))  # with it --dns is not the half of --dns-search


def _flags(key: str) -> Pattern:
    """The pattern of an option's flag, by its long name and its short one."""
    short = {"hosts": "-H", "bridge": "-b", "group": "-G", "pidfile": "-p"}.get(key)
    return pattern("{}|{}", flag_name(key), short) if short else pattern("{}", flag_name(key))


def without_options(facts: HostFacts, keys: Sequence[str], *, summary: str) -> Fix:
    """Take options out of wherever they are written, flags and daemon.json alike, and restart the daemon once."""
    said = files_say(facts)
    in_file = [key for key in keys if (s := said.get(key)) and s.where.startswith(f"{said.json_path}:")]
    edit = edit_daemon_json(facts, remove=in_file, summary=summary) if in_file else None
    flags = [(_flag_and_value(key), None) for key in keys if key not in in_file]
    fix = edit_flags(facts, *flags, summary=summary) if flags else None
    if edit is None or fix is None:
        return edit or fix or Fix(summary=summary, runnable=False)
    return Fix(
        summary=summary,
        commands=(*edit.commands[:-1], *fix.commands),
        edits=edit.edits,
        impacts=fix.impacts,
        runnable=fix.runnable and edit.runnable,
    )


def edit_flags(facts: HostFacts, *edits: tuple[Pattern, Replacement | None], summary: str) -> Fix:
    """Replace what matches in the service's command, each pattern by what stands with it, and restart the daemon. A word with
    None beside it is taken out.

    In the file where it stands, the old one kept beside it; a unit file of a package is left alone, and its ExecStart= put
    in its place by a drop-in. Not runnable where no file that was read holds it.
    """
    unit = files_say(facts).unit
    changes = tuple(_everywhere(edits))
    names = {unit.fragment, *unit.drop_ins, *(d.value.removeprefix("-") for d in unit.environment_files)}
    files = [
        f for f in facts.snapshot.daemon.files if f.path in names and any(re.search(_python(p), f.text) for p, _ in changes)
    ]
    commands = [
        _own_command(facts, changes) or _in_place(f, changes)
        if f.path == unit.fragment and f.path.startswith(_PACKAGED)
        else _in_place(f, changes)
        for f in files
    ]
    return Fix(
        summary=summary,
        commands=(*commands, restart_command(facts, reload=True)),
        impacts=("edits-file", *restart_impacts(facts)),
        runnable=bool(commands),
    )


def _everywhere(edits: Iterable[tuple[Pattern, Replacement | None]]) -> Iterator[tuple[Pattern, Replacement]]:
    """What is taken out may also be the first of a variable's value, with no space before it."""
    for old, new in edits:
        if new is not None:
            yield old, new
        else:
            yield pattern("[[:space:]]+{}", old), replacement("")
            yield pattern("(=[\"']?){}[[:space:]]*", old), replacement(r"\1")


def mend_flags(facts: HostFacts) -> Fix | None:
    """All flags that dockerd refuses, of which its last words name the first: spelt as they were meant, or left out."""
    edits: dict[tuple[Pattern, Replacement | None], str] = {}
    for problem in files_say(facts).flags.problems:
        word = problem.word.partition("=")[0]
        if word in ("true", "false"):
            said = f"write ={word}, since what a boolean flag is set to stands behind an equals sign"
            edits[pattern("(--[a-z0-9-]+)[[:space:]]+{}", word), replacement(r"\1={}", word)] = said
        elif " " in word:
            return _unbraced(facts, word)
        elif word.startswith("$"):
            name = word.strip("${}")
            said = f"take {word} out of its own value, which systemd fills nothing into"
            edits[pattern("({}=[\"']?)[$][{{]?{}[}}]?[[:space:]]*", name, name), replacement(r"\1")] = said
        elif problem.nearest:
            right = replacement(r"{}\1", problem.nearest)
            edits[pattern("{}([= \"']|$)", word), right] = f"write {problem.nearest} for {word}"
        else:
            joint = pattern("[= ]") if problem.apart else pattern("=")
            wrong = pattern("{}({}[^[:space:]\"']*)?", word, joint)
            edits[wrong, None] = f"leave out {word}, which dockerd refuses"
    if not edits:
        return None
    said = "; ".join(edits.values())
    return edit_flags(facts, *edits, summary=f"{said[0].upper()}{said[1:]}, and start the daemon.")


def _unbraced(facts: HostFacts, word: str) -> Fix:
    """systemd.service(5): ${X} is one word, whatever white space its value holds, $X as many as it has."""
    if not any("${" in command.value for command in files_say(facts).unit.commands):
        return Fix(summary=f"Part {word!r} into its words: dockerd is given it as one.", runnable=False)
    summary = "Write $NAME for ${NAME}, which is one word to systemd, and start the daemon."
    return edit_flags(facts, (pattern(r"[$][{{](\w+)[}}]"), replacement(r"$\1")), summary=summary)


def _python(pattern: str) -> str:
    return pattern.replace("[:space:]", r"\s").replace(r"[\s]", r"\s")


def _python_replacement(new: Replacement) -> str:
    """With what only sed escapes as it is."""
    return re.sub(r"\\([&#])", r"\1", new)


def _in_place(file: TextFile, edits: Sequence[tuple[Pattern, Replacement]]) -> Command:
    return sed(file.path, *(step("s#{}#{}#g", *edit) for edit in edits))


def _own_command(facts: HostFacts, edits: Sequence[tuple[Pattern, Replacement]]) -> Command | None:
    """A drop-in with the changed command in the place of the packaged unit's."""
    unit = files_say(facts).unit
    changed = unit.commands[-1].value if unit.commands else ""
    if not changed or "***" in changed or unit.commands[-1].file != unit.fragment:
        return None
    for old, new in edits:
        changed = re.sub(_python(old), _python_replacement(new), changed)
    taken = {file.rpartition("/")[2] for file in unit.drop_ins}
    name = next(n for n in ("override.conf", "zz-override.conf", "zzz-override.conf") if n not in taken)
    lines = ("[Service]", "ExecStart=", f"ExecStart={changed}")
    return then(command("mkdir", "-p", _DROP_IN), write(f"{_DROP_IN}/{name}", *lines))


def names(values: Iterable[str]) -> str:
    """`a, b and c`"""
    listed = list(values)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else "none"
