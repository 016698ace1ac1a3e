"""Commands that recreate a network under its own name while its containers run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dockernet_doctor.diagnosis.change import Commands
from dockernet_doctor.diagnosis.facts.host import PREDEFINED, HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.compose_file import compose_network_edit
from dockernet_doctor.diagnosis.fixes.recreate import connect_flags
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, go_string, line, operands, then
from dockernet_doctor.snapshot.model import Container, Network, Subnet
from dockernet_doctor.snapshot.secrets import MASK

_ENGINES_OWN = ("com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6")
"""Options that engine 28 writes down itself for --ipv4 and --ipv6."""
_PLAIN = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a name that xargs takes as it is


def recreate_network(
    facts: HostFacts,
    network: Network,
    *,
    summary: str,
    subnets: Sequence[Subnet] | None = None,
    options: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    internal: bool | None = None,
    ipv6: bool | None = None,
) -> Fix:
    """Recreate a network, since none of its options can be changed.

    `options` are added to its own or replace them, those of `without` are left out; `subnets` replace all of its own (()
    lets the engine choose). Its running containers wait on an interim network, on both for a while so that names go on
    resolving, and keep their aliases, and unless `subnets` change their static addresses. Open connections break.
    What Compose made is changed in the compose file. Raises ValueError for bridge, host and none, which nobody can remove
    (their settings are the daemon's), and for the networks of a Swarm, whose tasks cannot be moved by hand.
    """
    if network.name in PREDEFINED or network.scope == "swarm":
        raise ValueError(f"the network {network.name} cannot be recreated by hand")
    wanted = Network(
        id="",
        name=network.name,
        driver=network.driver,
        internal=network.internal if internal is None else internal,
        ipv6=network.ipv6 if ipv6 is None else ipv6,
        ipv4=network.ipv4,
        attachable=network.attachable,
        options={k: v for k, v in {**network.options, **(options or {})}.items() if k not in without},
        subnets=network.subnets if subnets is None else tuple(subnets),
    )
    compose = next((c.compose for c in facts.members(network) if c.compose), None)
    if network.compose_project and compose:
        settings = _compose_settings(network, wanted)
        return compose_network_edit(facts, compose, network, summary=summary, settings=settings)
    forth = _renewal(facts, network, wanted, keep_addresses=subnets is None)
    lost = any(value == MASK and key not in wanted.options for key, value in network.options.items())
    back = [] if lost else _renewal(facts, wanted, network, keep_addresses=True)
    change = Commands(forth=tuple(forth), back=tuple(back))
    return Fix.of(change, summary=summary, impacts=("changes-network",))


def _renewal(facts: HostFacts, network: Network, wanted: Network, *, keep_addresses: bool) -> list[Command]:
    name, interim = network.name, f"{network.name}-interim"
    while interim in facts.networks:
        interim += "-2"
    there = facts.networks[name]
    attached = [(c, e) for c in facts.members(there) if c.state.running for e in c.endpoints if facts.network_of(e) is there]

    def connect(target: str, *, addresses: bool) -> Iterator[Command]:
        for flags, same in groupby(attached, lambda it: connect_flags(*it, addresses=addresses)):
            yield from _for_each("connect", *flags, target=target, containers=[c for c, _ in same])

    def disconnect(target: str) -> Iterator[Command]:
        return _for_each("disconnect", target=target, containers=[c for c, _ in attached])

    masked = [key for key, value in wanted.options.items() if value == MASK]
    waiting = ("--internal",) if network.internal else ()
    return [
        _create_as(there, name, command("docker", "network", "create", *waiting, *operands(interim)), masked),
        *connect(interim, addresses=False),
        *disconnect(name),
        then(
            command("docker", "network", "rm", *operands(name)),
            _create_as(there, interim, command("docker", "network", "create", *_flags(wanted), *operands(name)), masked),
        ),
        *connect(name, addresses=keep_addresses),
        *disconnect(interim),
        command("docker", "network", "rm", *operands(interim)),
    ]


def _for_each(*words: str, target: str, containers: Sequence[Container]) -> Iterator[Command]:
    """`docker network` with these words for the network and each of the containers; of more than two by one line."""
    names = [container.name for container in containers]
    if len(names) > 2 and all(map(_PLAIN.fullmatch, names)):
        run = command("xargs", "-n", "1", "docker", "network", *words, *operands(target))
        yield line("{} | {}", command("echo", *names), run)
    else:
        yield from (command("docker", "network", *words, *operands(target, name)) for name in names)


def _create_as(network: Network, model: str, creation: Command, options: Sequence[str]) -> Command:
    """The command with the network's labels and its options with masked values, which go from `model` through the shell."""
    if network.has_labels is False and not options:
        return creation
    taken = '{{range $k, $v := .Labels}}--label={{$k}}={{$v}}{{"\\x00"}}{{end}}'
    for key in map(go_string, options):
        taken += f'{{{{with index .Options {key}}}}}--opt={{{{{key}}}}}={{{{.}}}}{{{{"\\x00"}}}}{{{{end}}}}'
    inspection = command("docker", "network", "inspect", "-f", taken, *operands(model))
    return line("{} | head -c -1 | xargs -0 {}", inspection, creation)


def _flags(network: Network) -> list[str]:
    flags = [] if network.driver == "bridge" else ["--driver", network.driver]
    for on, flag in (
        (network.internal, "--internal"),
        (network.attachable, "--attachable"),
        (network.ipv6, "--ipv6"),
        (not network.ipv4, "--ipv4=false"),
    ):
        flags += [flag] if on else []
    for subnet in network.subnets:
        flags += ["--subnet", subnet.subnet]
        flags += ["--gateway", subnet.gateway] if subnet.gateway else []
        flags += ["--ip-range", subnet.ip_range] if subnet.ip_range else []
        for name, address in subnet.auxiliary.items():
            flags += ["--aux-address", f"{name}={address}"]
    for key, value in network.options.items():
        flags += [] if key in _ENGINES_OWN or value == MASK else ["-o", f"{key}={value}"]
    return flags


def _compose_settings(old: Network, new: Network) -> list[str]:
    lines = []
    for key, before, after in (("internal", old.internal, new.internal), ("enable_ipv6", old.ipv6, new.ipv6)):
        lines += [f"  {key}: {str(after).lower()}"] if before != after else []
    changed = {k: v for k, v in new.options.items() if old.options.get(k) != v}
    lines += ["  driver_opts:"] if changed else []
    lines += [f'    {key}: "{value}"' for key, value in changed.items()]
    if new.subnets != old.subnets and new.subnets:
        lines += ["  ipam:", "    config:"]
        for subnet in new.subnets:
            lines.append(f"      - subnet: {subnet.subnet}")
            lines += [f"        gateway: {subnet.gateway}"] if subnet.gateway else []
    return [line[2:] for line in lines]
