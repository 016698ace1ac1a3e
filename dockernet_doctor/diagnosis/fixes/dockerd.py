"""Changes of dockerd's options where they are written: units, drop-ins, environment files, daemon.json."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dockernet_doctor.diagnosis.change import FileChange
from dockernet_doctor.diagnosis.facts.daemon import files_say, flags_of
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.settings import as_before, edit_daemon_json, restart_command, restart_impacts
from dockernet_doctor.shell import (
    Pattern,
    Replacement,
    Step,
    changeable,
    command,
    operands,
    pattern,
    replacement,
    sed,
    step,
    then,
    write,
)
from dockernet_doctor.snapshot.daemon_options import KINDS, flag_name
from dockernet_doctor.snapshot.model import TextFile

_DROP_IN = "/etc/systemd/system/docker.service.d"
_PACKAGED = ("/usr/lib/", "/lib/", "/usr/local/lib/")


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
        return pattern("({})(=[^[:space:]\"']*)?", flags_of(key))
    return pattern("({})[= ][^[:space:]\"']*", flags_of(key))  # with it --dns is not the half of --dns-search


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
        undo=(*edit.undo[:-1], *fix.undo),
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
    made = [
        (f.path == unit.fragment and f.path.startswith(_PACKAGED) and _own_command(facts, changes)) or _in_place(f, changes)
        for f in files
    ]
    return restarted(facts, *made, summary=summary, reload=True)


def edited(path: str, *steps: Step) -> FileChange:
    """A file changed by these steps of sed; the old one is kept beside it."""
    return FileChange(forth=(sed(path, *steps),), back=(as_before(path),))


def created(path: str, *lines: str) -> FileChange:
    """A new file of these lines."""
    folder = operands(path.rpartition("/")[0])
    return FileChange(
        forth=(then(command("mkdir", "-p", *folder), write(path, *lines)),), back=(command("rm", changeable(path)),)
    )


def restarted(facts: HostFacts, *made: FileChange, summary: str, reload: bool = False) -> Fix:
    """Change the files, and restart the daemon. `reload`: one of them is of its unit."""
    restarting = restart_command(facts, reload=reload)
    return Fix(
        summary=summary,
        commands=(*(line for change in made for line in change.forth), restarting),
        impacts=("edits-file", *restart_impacts(facts)),
        runnable=bool(made),
        undo=(*(line for change in reversed(made) for line in change.back), restarting) if made else (),
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


def _in_place(file: TextFile, edits: Sequence[tuple[Pattern, Replacement]]) -> FileChange:
    return edited(file.path, *(step("s#{}#{}#g", *edit) for edit in edits))


def is_dockerd(command: str) -> bool:
    """True for a command line of dockerd where packages put it: no other is written into a unit, whatever a bundle says."""
    return re.fullmatch(r"(?:/usr(?:/local)?)?/s?bin/dockerd(?:-\w+)?(?: .*)?", command.lstrip("-@:+!|")) is not None


def _own_command(facts: HostFacts, edits: Sequence[tuple[Pattern, Replacement]]) -> FileChange | None:
    """A drop-in with the changed command in the place of the packaged unit's."""
    unit = files_say(facts).unit
    changed = unit.commands[-1].value if unit.commands else ""
    if not is_dockerd(changed) or "***" in changed or unit.commands[-1].file != unit.fragment:
        return None
    for old, new in edits:
        changed = re.sub(_python(old), _python_replacement(new), changed)
    taken = {file.rpartition("/")[2] for file in unit.drop_ins}
    name = next(n for n in ("override.conf", "zz-override.conf", "zzz-override.conf") if n not in taken)
    lines = ("[Service]", "ExecStart=", f"ExecStart={changed}")
    return created(f"{_DROP_IN}/{name}", *lines)
