"""Commands that recreate a container with something about it changed, as its owner would have written them.

What the snapshot holds stands in the command, for its reader to see: the network, mounts, limits, all options that are no
secret and differ from the defaults of engine and image. What may be a secret comes from the container itself, see
`former_self`.

The new container is created under an interim name while the old one still runs, so that whatever the daemon refuses is
refused before anything was stopped; that order is also the only one that works for `--rm`, whose container is gone once
it stops. It joins all its networks before it starts. Tried on engines 20.10, 26.1 and 28.5.

`docker create` cannot say everything: the words of an entrypoint after the first become arguments, and with `-i` standard
input closes when the first client that attached leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.change import Commands
from dockernet_doctor.diagnosis.facts.daemon import files_say
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes import former_self
from dockernet_doctor.diagnosis.fixes.former_self import Substitution
from dockernet_doctor.notation import bracketed
from dockernet_doctor.shell import Command, command, operands, then
from dockernet_doctor.snapshot.model import Container, ContainerLink, Endpoint, PortBinding, RunOption
from dockernet_doctor.snapshot.secrets import MASK


def recreate(
    facts: HostFacts,
    container: Container,
    *,
    summary: str,
    network: str | None = None,
    networks: Sequence[str] = (),
    leave: Sequence[str] = (),
    publish: Sequence[PortBinding] | None = None,
    hostname: str | None = None,
    add_hosts: Sequence[str] = (),
    remove_hosts: Sequence[str] = (),
    dns: Sequence[str] | None = None,
    links: Sequence[ContainerLink] | None = None,
    network_mode: str | None = None,
    substitutions: Sequence[Substitution] = (),
    variables: Mapping[str, str] | None = None,
    without_mount: str = "",
) -> Fix:
    """Recreate a container, whoever made it; `remedy` chooses what suits Compose and Swarm instead.

    What is not named stays as it is.
    - `network_mode`: "bridge", "host", "none", "container:NAME"; its networks are left.
    - `network` takes the place of the network that the container was created on; `networks` are joined as well, those of
      `leave` left.
    - `publish`: all bindings that it shall have; `links`: all legacy links, () drops them; `dns`: all its servers.
    - `hostname`: "" for the default, the short id; the old one is no alias any more;
      `add_hosts`, `remove_hosts`: "name:address".
    - `substitutions`: changes of its settings' text; `variables`: environment variables that it does not have yet;
      `without_mount`: a destination that is not mounted any more.

    A container that lives in its network namespace, or links to it, loses it; such are recreated after it. Its undo takes the
    former container back, with what it wrote, and keeps the new one aside; there is none where others were recreated after it,
    nor for `--rm`, whose former container is gone.
    """
    attachments = _attachments(container, network, networks, leave, network_mode)
    if hostname is not None:  # engines before 25 list it among the aliases
        attachments = tuple(replace(e, aliases=tuple(a for a in e.aliases if a != container.hostname)) for e in attachments)
    wish = _Wish(
        mode=network_mode or (attachments[0].network if attachments else _mode(facts, container)),
        attachments=attachments,
        publish=container.bindings if publish is None else tuple(publish),
        hostname=_hostname(facts, container) if hostname is None else hostname,
        hosts=tuple(dict.fromkeys((*(h for h in container.extra_hosts if h not in remove_hosts), *add_hosts))),
        dns=container.dns if dns is None else tuple(dns),
        links=container.links if links is None else tuple(links),
        substitutions=tuple(substitutions),
        variables=tuple((variables or {}).items()),
        without_mount=without_mount,
    )
    commands = _commands(facts, container, wish, {container.name})
    change = Commands(forth=tuple(commands), back=tuple(_back(facts, container)))
    return Fix.of(change, summary=summary, impacts=("recreates-container", "loses-container-data"))


def publish_flag(binding: PortBinding) -> str:
    """A binding as `-p` takes it, and Compose's short form: 8080:80, 127.0.0.1::80/udp, [::1]:8080:80."""
    port = f"{binding.port}" + ("" if binding.protocol == "tcp" else f"/{binding.protocol}")
    if not binding.host_ip:
        return f"{binding.host_port}:{port}" if binding.host_port else port
    address = bracketed(binding.host_ip)
    return f"{address}:{binding.host_port}:{port}"


def publish_flags(bindings: Iterable[PortBinding]) -> Iterator[str]:
    """Bindings as `-p` takes them, those that follow on one another as one: 8000-8010:80-90."""

    def place(entry: tuple[int, PortBinding]) -> tuple[object, ...]:
        number, it = entry
        host = int(it.host_port) - number if it.host_port.isdecimal() else it.host_port
        return it.protocol, it.host_ip, it.port - number if it.host_port.isdecimal() else number, host

    for _, group in groupby(enumerate(sorted(bindings, key=lambda b: (b.protocol, b.host_ip, b.port))), place):
        run = [binding for _, binding in group]
        first, last = run[0], run[-1]
        if first is last:
            yield publish_flag(first)
        else:
            several = publish_flag(replace(first, host_port=f"{first.host_port}-{last.host_port}"))
            head, slash, protocol = several.partition("/")
            yield f"{head}-{last.port}{slash}{protocol}"


def connect_flags(container: Container, endpoint: Endpoint, *, addresses: bool = True) -> tuple[str, ...]:
    """What `docker network connect` needs to give a container the names, and the addresses asked for, of an endpoint."""
    flags: list[str] = []
    for alias in own_aliases(container, endpoint):
        flags += ["--alias", alias]
    for link in endpoint.links:
        flags += ["--link", f"{link.target}:{link.alias}"]
    for option, value in endpoint.driver_options.items():
        flags += [] if value == MASK else ["--driver-opt", f"{option}={value}"]
    return (*flags, *_address_flags(endpoint)) if addresses else tuple(flags)


def own_aliases(container: Container, endpoint: Endpoint) -> tuple[str, ...]:
    """Aliases somebody gave: engines before 25 list the short id among them, later ones do not."""
    return tuple(dict.fromkeys(a for a in endpoint.aliases if a not in (container.id[:12], container.name)))


# --- what the new container shall be --------------------------------------------------------------------------------


class _Wish(Struct, frozen=True, kw_only=True):
    """What of the new container is not taken from the old one's inspection."""

    mode: str
    attachments: tuple[Endpoint, ...] = ()
    publish: tuple[PortBinding, ...] = ()
    hostname: str = ""
    hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    links: tuple[ContainerLink, ...] = ()
    substitutions: tuple[Substitution, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    without_mount: str = ""


def _attachments(
    container: Container, network: str | None, networks: Sequence[str], leave: Sequence[str], mode: str | None
) -> tuple[Endpoint, ...]:
    if mode is not None and mode != "bridge":
        return ()
    first = _first(container)
    kept = [e for e in container.endpoints if e.network not in ("host", "none", *leave) and e is not first]
    new = network or mode
    if new and not (first and first.network == new):
        # a static address belongs to the network that is left, the aliases to the container
        first = Endpoint(network=new, aliases=own_aliases(container, first) if first else ())
    elif first and first.network in leave:
        first = None
    wanted = [*([first] if first else []), *kept, *(Endpoint(network=n) for n in networks)]
    return tuple({e.network: e for e in reversed(wanted)}[n] for n in dict.fromkeys(e.network for e in wanted))


def _first(container: Container) -> Endpoint | None:
    """The endpoint on the network that the container was created on, else any."""
    mode = "bridge" if container.network_mode == "default" else container.network_mode
    real = [e for e in container.endpoints if e.network not in ("host", "none")]
    return next((e for e in real if mode in (e.network, e.network_id)), real[0] if real else None)


def _mode(facts: HostFacts, container: Container) -> str:
    mode = container.network_mode
    if mode.startswith("container:") and (owner := facts.container(mode.removeprefix("container:"))):
        return f"container:{owner.name}"
    return "bridge" if mode == "default" else mode


def _hostname(facts: HostFacts, container: Container) -> str:
    """The name that somebody gave it: not the default, and not the host's, which network or UTS mode `host` lends."""
    engine, host = facts.snapshot.engine, facts.host
    lent = {container.id[:12], engine.name if engine else "", host.hostname if host else ""}
    return "" if container.hostname in lent else container.hostname


# --- its commands ---------------------------------------------------------------------------------------------------


def _commands(facts: HostFacts, container: Container, wish: _Wish, seen: set[str]) -> list[Command]:
    interim, before = _interim_names(facts, container)
    commands = [_create(facts, container, wish, interim)]
    for endpoint in wish.attachments[1:]:
        flags = connect_flags(container, endpoint)
        commands.append(command("docker", "network", "connect", *flags, *operands(endpoint.network, interim)))
    if container.auto_remove:
        aside = command("docker", "rename", *operands(container.name, before))
        commands.append(then(aside, command("docker", "stop", *operands(before))))
    else:
        commands.append(_put_aside(container, before))
    run = command("docker", "start", *operands(container.name))
    commands.append(then(command("docker", "rename", *operands(interim, container.name)), run))
    for dependant in _dependants(facts, container):
        if dependant.name not in seen:
            seen.add(dependant.name)
            commands += _commands(facts, dependant, _follow(facts, dependant, container), seen)
    return commands


def _back(facts: HostFacts, container: Container) -> Iterator[Command]:
    """The former container in the place of the new one."""
    if container.auto_remove or any(True for _ in _dependants(facts, container)):
        return
    interim, before = _interim_names(facts, container)
    yield _put_aside(container, interim)
    lines = [command("docker", "rename", *operands(before, container.name))]
    said = next((it.value for it in container.options or () if it.name == "restart"), container.restart_policy)
    if said not in ("", "no"):
        lines.append(command("docker", "update", f"--restart={said}", *operands(container.name)))
    if container in facts.running:
        lines.append(command("docker", "start", *operands(container.name)))
    yield then(*lines)


def _put_aside(container: Container, name: str) -> Command:
    """Stop what has the container's name, for good, and give it another one."""
    stay = command("docker", "update", "--restart=no", *operands(container.name))
    aside = command("docker", "rename", *operands(container.name, name))
    return then(command("docker", "stop", *operands(container.name)), stay, aside)


def _interim_names(facts: HostFacts, container: Container) -> tuple[str, str]:
    """What the new one is called until it takes over, and the old one from then on."""
    return free_name(facts, f"{container.name}-next"), free_name(facts, f"{container.name}-before")


def free_name(facts: HostFacts, name: str) -> str:
    """The name, with a number where a container has it already."""
    taken = {c.name for c in facts.containers}
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _dependants(facts: HostFacts, container: Container) -> Iterable[Container]:
    """Running containers that hold on to this very one: in its network namespace, or by a legacy link."""
    for other in facts.running:
        if other.network_mode in (f"container:{container.id}", f"container:{container.name}") or any(
            link.target in (container.name, container.id) for link in other.links
        ):
            yield other


def _follow(facts: HostFacts, dependant: Container, container: Container) -> _Wish:
    shares = dependant.network_mode.startswith("container:")
    attachments = _attachments(dependant, None, (), (), None)
    return _Wish(
        mode=f"container:{container.name}" if shares else attachments[0].network if attachments else _mode(facts, dependant),
        attachments=attachments,
        publish=dependant.bindings,
        hostname=_hostname(facts, dependant),
        hosts=dependant.extra_hosts,
        dns=dependant.dns,
        links=tuple(
            ContainerLink(target=container.name, alias=link.alias) if link.target in (container.name, container.id) else link
            for link in dependant.links
        ),
    )


def _create(facts: HostFacts, container: Container, wish: _Wish, interim: str) -> Command:
    options = _options(facts, container, wish)
    flags = ["--name", interim, *_network_flags(container, wish)]
    for option in options:
        if option.value != MASK and option.name not in ("env", "expose", "image"):
            flags += _written(option)
    for variable, value in wish.variables:
        flags += ["-e", f"{variable}={value}"]
    taken = [option.name for option in options if option.value == MASK]
    changed = [it.variable for it in wish.substitutions if it.variable]
    variables = [option.value for option in options if option.name == "env"]
    return former_self.creation(
        container,
        flags,
        image=next((option.value for option in options if option.name == "image" and option.value != MASK), ""),
        taken=taken,
        variables=() if "env" in taken else tuple(dict.fromkeys((*variables, *changed))),
        substitutions=wish.substitutions,
        without_mount=wish.without_mount,
    )


def _options(facts: HostFacts, container: Container, wish: _Wish) -> tuple[RunOption, ...]:
    """The container's options that the new one shall have; all through the shell, where they are not known."""
    if container.options is None:
        since = former_self.SINCE
        names = [name for name in former_self.OPTIONS if facts.generation >= since.get(name, (0, 0))]
        options = [RunOption(name=name, value=MASK) for name in names]
    else:
        options = list(container.options)
        # what equals the engine's own default must be said where the daemon has another
        own = [name for key, name in _DEFAULTS.items() if files_say(facts).get(key)]
        if any(not substitution.variable for substitution in wish.substitutions):
            own += ["entrypoint", "command"]
        if wish.without_mount:  # of all mounts but this one
            own += ["volume", "mount"]
            options = [option for option in options if option.name not in ("volumes-from", "volume", "mount")]
        there = {option.name for option in options}
        options += [RunOption(name=name, value=MASK) for name in own if name not in there]
    left = {"mac-address"} if facts.generation >= (29, 0) or not wish.attachments else set()
    return tuple(option for option in options if option.name not in left)


_DEFAULTS = {"default-shm-size": "shm-size", "default-ipc-mode": "ipc", "default-cgroupns-mode": "cgroupns"}


def _written(option: RunOption) -> tuple[str, ...]:
    flag = {"volume": "-v", "interactive": "-i", "tty": "-t"}.get(option.name, f"--{option.name}")
    if option.name == "init" and option.value:
        return (f"{flag}={option.value}",)
    return (flag, option.value) if option.value else (flag,)


def _network_flags(container: Container, wish: _Wish) -> list[str]:
    mode, flags = wish.mode, list[str]()
    first = wish.attachments[0] if wish.attachments else None
    if first and (first.gateway_priority or first.driver_options):
        more = [f"gw-priority={first.gateway_priority}"] if first.gateway_priority else []
        more += [f'"driver-opt={option}={value}"' for option, value in first.driver_options.items() if value != MASK]
        flags += ["--network", ",".join((f"name={first.network}", *more))]
    elif mode != "bridge":
        flags += ["--network", mode]
    if mode.startswith("container:"):
        return flags  # the rest belongs to the container whose namespace it is
    if first:
        for alias in own_aliases(container, first) if mode != "bridge" else ():
            flags += ["--network-alias", alias]
        flags += [flag for flag in _address_flags(first) if not flag.startswith("--gw")]
    if wish.hostname:
        flags += ["--hostname", wish.hostname]
    if container.domainname:
        flags += ["--domainname", container.domainname]
    for host in wish.hosts:
        flags += ["--add-host", host]
    for option, values in (("--dns", wish.dns), ("--dns-search", container.dns_search)):
        for value in values:
            flags += [option, value]
    for value in container.dns_options:
        flags += ["--dns-option", value]
    flags += _expose_flags(container, wish)
    return flags if mode in ("host", "none") else [*flags, *_port_flags(container, wish)]


def _port_flags(container: Container, wish: _Wish) -> list[str]:
    flags = []
    aliased = wish.attachments[0].links if wish.attachments and wish.mode != "bridge" else ()
    for link in dict.fromkeys((*wish.links, *aliased)):
        flags += ["--link", f"{link.target}:{link.alias}"]
    for ports in publish_flags(wish.publish):
        flags += ["-p", ports]
    return [*flags, "-P"] if container.publish_all else flags


def _expose_flags(container: Container, wish: _Wish) -> list[str]:
    """For ports that are neither published nor were."""
    published = {(b.port, b.protocol) for b in (*wish.publish, *container.bindings)}
    return [w for ports in _ranges(p for p in _exposed(container) if p not in published) for w in ("--expose", ports)]


def _exposed(container: Container) -> Iterable[tuple[int, str]]:
    if container.options is None:
        return container.exposed
    exposed = (option.value.partition("/") for option in container.options if option.name == "expose")
    return [(int(port), protocol) for port, _, protocol in exposed]


def _ranges(ports: Iterable[tuple[int, str]]) -> Iterator[str]:
    """`9/udp`, `7000-7010`: ports that follow on one another as one."""
    numbered = enumerate(sorted((protocol, port) for port, protocol in ports))
    for (protocol, _), group in groupby(numbered, lambda entry: (entry[1][0], entry[1][1] - entry[0])):
        run = [port for _, (_, port) in group]
        text = f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}"
        yield text if protocol == "tcp" else f"{text}/{protocol}"


def _address_flags(endpoint: Endpoint) -> tuple[str, ...]:
    flags: list[str] = []
    for option, value in (("--ip", endpoint.requested_ipv4), ("--ip6", endpoint.requested_ipv6)):
        flags += [option, value] if value else []
    for value in endpoint.link_local:
        flags += ["--link-local-ip", value]
    return (*flags, f"--gw-priority={endpoint.gateway_priority}") if endpoint.gateway_priority else tuple(flags)
