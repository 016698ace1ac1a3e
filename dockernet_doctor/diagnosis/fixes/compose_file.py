"""Changes to the compose file of a container or network that Compose made.

Where the file was read and says plainly what to change, the fix changes it and its diff applies; else the edit shows in a few
lines what to write, and its line numbers mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from dockernet_doctor.diagnosis.change import Commands
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Edit, Fix
from dockernet_doctor.diagnosis.fixes.compose_lines import Block, Lines, change_network, change_service, entries
from dockernet_doctor.diagnosis.fixes.diff import unified
from dockernet_doctor.diagnosis.fixes.former_self import Substitution
from dockernet_doctor.diagnosis.fixes.settings import as_before
from dockernet_doctor.shell import Command, changeable, command, operands, then
from dockernet_doctor.snapshot.model import Compose, Container, Network
from dockernet_doctor.snapshot.secrets import MASK


def compose_edit(
    facts: HostFacts,
    container: Container,
    *,
    summary: str,
    remove: Block | None = None,
    add: Block | None = None,
    externals: Sequence[str] = (),
    substitutions: Sequence[Substitution] = (),
) -> Fix:
    """Change the service of a container that Compose made; `externals` are networks of others that the file is to know.

    Raises ValueError where Compose did not make the container.
    """
    compose = _compose(container)
    remove, add = remove or {}, add or {}

    def change(text: str) -> Lines | None:
        return change_service(text, compose.service, remove=remove, add=add, externals=externals, substitutions=substitutions)

    top = [f"+  {network}:\n+    external: true" for network in externals]
    sketch = [" services:", f"   {compose.service}:", *_sketch(remove, add), *(["+networks:", *top] if top else [])]
    fix = Fix(summary=summary, commands=(_up(facts, container),), impacts=("edits-file", "recreates-container"))
    return _edited(facts, compose, fix, change, sketch if remove or add else ())


def compose_join(facts: HostFacts, container: Container, network: str, aliases: Sequence[str], summary: str) -> Fix:
    """Put the service on one more network, for good."""
    added, externals = joined(facts, container, [network])
    if aliases:
        added = (*added[:-1], f"{added[-1]}: {{aliases: {json.dumps(list(aliases))}}}")
    return compose_edit(facts, container, summary=summary, add={"networks": added}, externals=externals)


def joined(facts: HostFacts, container: Container, networks: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """What `networks:` of the service is to have for these, and which of them the file must declare as others' own.

    Compose gives aliases, which the network `bridge` does not take: the project's own way out stands in for it.
    """
    compose = _compose(container)
    found = {name: facts.networks.get(name) for name in networks}
    others = [n for n, known in found.items() if known is None or known.compose_project != compose.project]
    keys = [network_key(facts.network_of(e), compose, e.network) for e in container.endpoints]
    # a service without `networks:` is on `default`, and no longer once it has the key
    implicit = ["default"] if keys == ["default"] else []
    wanted = ("default" if name == "bridge" else network_key(known, compose, name) for name, known in found.items())
    return tuple(dict.fromkeys((*implicit, *wanted))), [name for name in others if name != "bridge"]


def compose_renew(facts: HostFacts, container: Container, summary: str) -> Fix:
    """Let Compose recreate the container as its file says."""
    return Fix(
        summary=summary,
        commands=(_up(facts, container, "--force-recreate"),),
        impacts=("recreates-container", "loses-container-data"),
    )


def compose_network_edit(facts: HostFacts, compose: Compose, network: Network, *, summary: str, settings: Sequence[str]) -> Fix:
    """Change a network that Compose made: `settings` are whole lines under its key. The project goes down for it."""
    key = network_key(network, compose, network.name)
    fix = Fix(
        summary=summary,
        commands=(then(compose_command(compose, "down"), compose_command(compose, "up", "-d")),),
        impacts=("edits-file", "recreates-container", "changes-network"),
    )
    sketch = [" networks:", f"   {key}:", *(f"+    {line}" for line in settings)]
    return _edited(facts, compose, fix, lambda text: change_network(text, key, settings), sketch)


def compose_command(compose: Compose, *words: str) -> Command:
    """`docker compose`, or the docker-compose of 1.x, for this very project, from whatever directory."""
    files = [word for file in compose.config_files for word in ("-f", file if file == "-" else changeable(file))]
    directory = compose.working_dir
    beside = compose.config_files and compose.config_files[0].rpartition("/")[0] == directory
    place = [] if beside or not directory else ["--project-directory", directory]
    program = ("docker-compose",) if compose.version.startswith("1.") else ("docker", "compose")
    return command(*program, "-p", compose.project, *place, *files, *words)


def network_key(network: Network | None, compose: Compose, name: str) -> str:
    """How the compose file calls a network."""
    return network.compose_network if network and network.compose_project == compose.project else name


def _up(facts: HostFacts, container: Container, *flags: str) -> Command:
    """The service brought up again, and with it those that live in its network namespace."""
    compose = _compose(container)
    sharing = [c.compose for c in facts.containers if c is not container and facts.namespace_owner(c) is container]
    services = (compose.service, *(c.service for c in sharing if c and c.project == compose.project))
    return compose_command(compose, "up", "-d", *flags, *operands(*services))


def _compose(container: Container) -> Compose:
    if container.compose is None:
        raise ValueError(f"{container.name} was not made by Compose")
    return container.compose


def _edited(facts: HostFacts, compose: Compose, fix: Fix, change: Callable[[str], Lines | None], sketch: Sequence[str]) -> Fix:
    """The fix with the change of the first of the project's files that says plainly where it belongs, made before the fix's own
    commands; where none does, with a sketch of it."""
    texts = {file.path: file.text for file in facts.snapshot.compose_files}
    for path in compose.config_files:
        lines = change(texts[path]) if path in texts else None
        if lines is not None:
            edits = (Edit(file=path, format="yaml", diff=diff),) if (diff := _diff(path, texts[path], lines)) else ()
            return replace(_made(fix, lines.commands(path), path), edits=edits)
    return replace(fix, edits=(_illustrated(compose, sketch),) if sketch else (), runnable=False)


def _made(fix: Fix, changing: Sequence[Command], path: str) -> Fix:
    """The fix with the file changed before its own commands, which are also what takes the file as it was into use again."""
    back = (as_before(path), *fix.commands) if changing else ()
    change = Commands(forth=(*changing, *fix.commands), back=back)
    return Fix.of(change, summary=fix.summary, impacts=fix.impacts)


def _diff(path: str, text: str, lines: Lines) -> str:
    """With as much around the change as holds nothing masked, or it would not apply."""
    new = lines.new
    diffs = (unified(path, text, new, context) for context in (3, 2, 1, 0)) if new is not None else ()
    return next((diff for diff in diffs if MASK not in diff), "")


def _illustrated(compose: Compose, lines: Sequence[str]) -> Edit:
    file = compose.config_files[0] if compose.config_files else "compose.yaml"
    before, after = (sum(not line.startswith(sign) for line in lines) for sign in "+-")
    diff = "\n".join((f"--- {file}", f"+++ {file}", f"@@ -1,{before} +1,{after} @@", *lines, ""))
    return Edit(file=file, format="yaml", diff=diff)


def _sketch(remove: Block, add: Block) -> list[str]:
    lines = []
    for key in dict.fromkeys((*remove, *add)):
        old, new = remove.get(key, ()), add.get(key, ())
        if isinstance(old, str) or isinstance(new, str):
            lines += [f"-    {key}: {old}"] if old else []
            lines += [f"+    {key}: {new}"] if new else []
        elif old or new:
            lines.append(f"{' ' if old else '+'}    {key}:")
            lines += [f"-      {entry}" for entry in entries(old)] + [f"+      {entry}" for entry in entries(new)]
    return lines
