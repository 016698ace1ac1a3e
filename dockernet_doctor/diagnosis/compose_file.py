"""Changes to the compose file of a container or network that Compose made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from dockernet_doctor.diagnosis.facts import HostFacts
from dockernet_doctor.diagnosis.finding import Edit, Fix
from dockernet_doctor.diagnosis.recreate import quoted
from dockernet_doctor.snapshot.model import Compose, Container, Network

Block = Mapping[str, str | Sequence[str]]
"""Keys of a service, each with its value, or the items of its list."""


def compose_edit(
    container: Container,
    *,
    summary: str,
    remove: Block | None = None,
    add: Block | None = None,
    top_level: Sequence[str] = (),
) -> Fix:
    """Change the service of a container that Compose made; `top_level` are whole lines to add beside `services:`.

    The file itself is not in a snapshot: the hunk shows where the lines belong, its line numbers mean nothing. Raises
    ValueError where Compose did not make the container.
    """
    compose = container.compose
    if compose is None:
        raise ValueError(f"{container.name} was not made by Compose")
    lines = [" services:", f"   {compose.service}:", *_block(remove or {}, add or {}), *(f"+{t}" for t in top_level)]
    return Fix(
        summary=summary,
        commands=(f"{compose_command(compose)} up -d {quoted(compose.service)}",),
        edits=(_edit(compose, lines),),
        impacts=("edits-file", "recreates-container"),
        runnable=False,
    )


def compose_join(facts: HostFacts, container: Container, network: str, aliases: Sequence[str], summary: str) -> Fix:
    """Put the service on one more network, for good."""
    compose = container.compose
    if compose is None:
        raise ValueError(f"{container.name} was not made by Compose")
    target = facts.networks.get(network)
    name = network_key(target, compose, network)
    top = () if target and target.compose_project == compose.project else ("networks:", f"  {name}:", "    external: true")
    keys = [network_key(facts.network_of(e), compose, e.network) for e in container.endpoints]
    # a service without `networks:` is on `default`, and no longer once it has the key
    implicit = ["default"] if keys == ["default"] else []
    if aliases:
        entries = [*(f"{key}: {{}}" for key in implicit), f"{name}: {{aliases: {json.dumps(list(aliases))}}}"]
        return compose_edit(container, summary=summary, add={"networks": f"{{{', '.join(entries)}}}"}, top_level=top)
    return compose_edit(container, summary=summary, add={"networks": (*implicit, name)}, top_level=top)


def compose_renew(container: Container, summary: str) -> Fix:
    """Have Compose make the container anew as its file says."""
    if container.compose is None:
        raise ValueError(f"{container.name} was not made by Compose")
    command = f"{compose_command(container.compose)} up -d --force-recreate {quoted(container.compose.service)}"
    return Fix(summary=summary, commands=(command,), impacts=("recreates-container", "loses-container-data"))


def compose_network_edit(compose: Compose, network: Network, *, summary: str, settings: Sequence[str]) -> Fix:
    """Change a network that Compose made: `settings` are whole lines under its key. The project goes down for it."""
    key = network_key(network, compose, network.name)
    command = compose_command(compose)
    return Fix(
        summary=summary,
        commands=(f"{command} down && {command} up -d",),
        edits=(_edit(compose, [" networks:", f"   {key}:", *(f"+    {line}" for line in settings)]),),
        impacts=("edits-file", "recreates-container", "changes-network"),
        runnable=False,
    )


def compose_command(compose: Compose) -> str:
    """`docker compose` for this very project, from whatever directory."""
    files = [word for file in compose.config_files for word in ("-f", file)]
    directory = compose.working_dir
    beside = compose.config_files and compose.config_files[0].rpartition("/")[0] == directory
    place = [] if beside or not directory else ["--project-directory", directory]
    return quoted("docker", "compose", "-p", compose.project, *place, *files)


def network_key(network: Network | None, compose: Compose, name: str) -> str:
    """How the compose file calls a network."""
    return network.compose_network if network and network.compose_project == compose.project else name


def _edit(compose: Compose, lines: Sequence[str]) -> Edit:
    file = compose.config_files[0] if compose.config_files else "compose.yaml"
    before, after = (sum(not line.startswith(sign) for line in lines) for sign in "+-")
    diff = "\n".join((f"--- {file}", f"+++ {file}", f"@@ -1,{before} +1,{after} @@", *lines, ""))
    return Edit(file=file, format="yaml", diff=diff)


def _block(remove: Block, add: Block) -> list[str]:
    lines = []
    for key in dict.fromkeys((*remove, *add)):
        old, new = remove.get(key, ()), add.get(key, ())
        if isinstance(old, str) or isinstance(new, str):
            lines += [f"-    {key}: {old}"] if old else []
            lines += [f"+    {key}: {new}"] if new else []
        elif old or new:
            lines.append(f"{' ' if old else '+'}    {key}:")
            lines += [f"-      - {_scalar(item)}" for item in old] + [f"+      - {_scalar(item)}" for item in new]
    return lines


def _scalar(text: str) -> str:
    # 22:22 unquoted is a number to base sixty in YAML 1.1
    return text if text.replace("-", "").replace("_", "").isalnum() and not text.isdigit() else json.dumps(text)
