"""Commands that make a container anew with something about it changed.

No value that can hold a secret (environment, labels, command, entrypoint, health check, mounts) is ever in a command:
the new container takes it from its former self, by `docker inspect` with a template that prints arguments ended by NUL,
and `xargs -0`. What bears on the network is known to the snapshot and stands in the command, for its reader to see.

The new container is created under an interim name while the old one still runs, so that whatever the daemon refuses is
refused before anything was stopped; that order is also the only one that works for `--rm`, whose container is gone once
it stops. It joins all its networks before it starts. Tried on engines 20.10, 26.1 and 28.5, with GNU's and busybox's xargs.

`docker create` cannot say everything: the words of an entrypoint after the first become arguments, and with `-i` standard
input closes when the first client that attached leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.notation import bracketed
from dockernet_doctor.shell import Command, Word, command, glued, go_string, line, operands, output, then
from dockernet_doctor.snapshot.model import Container, ContainerLink, Endpoint, PortBinding
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
    name: str | None = None,
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
    """Make a container anew, whoever made it; `remedy` chooses what suits Compose and Swarm instead.

    What is not named stays as it is.
    - `network_mode`: "bridge", "host", "none", "container:NAME"; its networks are left.
    - `network` takes the place of the network that the container was created on; `networks` are joined as well, those of
      `leave` left.
    - `publish`: all bindings that it shall have; `links`: all legacy links, () drops them; `dns`: all its servers.
    - `hostname`: "" for the default, the short id; the old one is no alias any more;
      `add_hosts`, `remove_hosts`: "name:address".
    - `substitutions`: changes of its settings' text; `variables`: environment variables that it does not have yet;
      `without_mount`: a destination that is not mounted any more.

    A container that lives in its network namespace, or links to it, loses it; such are made anew after it.
    """
    attachments = _attachments(container, network, networks, leave, network_mode)
    if hostname is not None:  # engines before 25 list it among the aliases
        attachments = tuple(replace(e, aliases=tuple(a for a in e.aliases if a != container.hostname)) for e in attachments)
    wish = _Wish(
        name=name or container.name,
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
    return Fix(summary=summary, commands=tuple(commands), impacts=("recreates-container", "loses-container-data"))


class Substitution(Struct, frozen=True, kw_only=True):
    """Text of a setting to replace by another; the first of `pairs` whose old text is there counts.

    `variable` is the environment variable, "" the command line.
    """

    variable: str = ""
    pairs: tuple[tuple[str, str], ...]


def publish_flag(binding: PortBinding) -> str:
    """A binding as `-p` takes it, and Compose's short form: 8080:80, 127.0.0.1::80/udp, [::1]:8080:80."""
    port = f"{binding.port}" + ("" if binding.protocol == "tcp" else f"/{binding.protocol}")
    if not binding.host_ip:
        return f"{binding.host_port}:{port}" if binding.host_port else port
    address = bracketed(binding.host_ip)
    return f"{address}:{binding.host_port}:{port}"


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

    name: str
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
    interim, before = free_name(facts, f"{wish.name}-next"), free_name(facts, f"{container.name}-before")
    commands = [_create(facts, container, wish, interim)]
    for endpoint in wish.attachments[1:]:
        flags = connect_flags(container, endpoint)
        commands.append(command("docker", "network", "connect", *flags, *operands(endpoint.network, interim)))
    aside = command("docker", "rename", *operands(container.name, before))
    if container.auto_remove:
        commands.append(then(aside, command("docker", "stop", *operands(before))))
    else:
        stay = command("docker", "update", "--restart=no", *operands(container.name))
        commands.append(then(command("docker", "stop", *operands(container.name)), stay, aside))
    run = command("docker", "start", *operands(wish.name))
    commands.append(then(command("docker", "rename", *operands(interim, wish.name)), run))
    for dependant in _dependants(facts, container):
        if dependant.name not in seen:
            seen.add(dependant.name)
            commands += _commands(facts, dependant, _follow(facts, dependant, container, wish.name), seen)
    return commands


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


def _follow(facts: HostFacts, dependant: Container, container: Container, name: str) -> _Wish:
    shares = dependant.network_mode.startswith("container:")
    attachments = _attachments(dependant, None, (), (), None)
    return _Wish(
        name=dependant.name,
        mode=f"container:{name}" if shares else attachments[0].network if attachments else _mode(facts, dependant),
        attachments=attachments,
        publish=dependant.bindings,
        hostname=_hostname(facts, dependant),
        hosts=dependant.extra_hosts,
        dns=dependant.dns,
        links=tuple(
            ContainerLink(target=name, alias=link.alias) if link.target in (container.name, container.id) else link
            for link in dependant.links
        ),
    )


def _create(facts: HostFacts, container: Container, wish: _Wish, interim: str) -> Command:
    name = operands(container.name)
    volumes = [] if _mounts_one_by_one(container, wish) else ["--volumes-from", container.name]
    flags = ["--name", interim, *volumes, *_network_flags(container, wish)]
    inspection = command("docker", "inspect", "-f", _template(facts, container, wish), *name)
    creation = line("{} | head -c -1 | xargs -0 {}", inspection, command("docker", "create", *flags))
    # --security-opt wants a seccomp profile as a file, the inspection holds its text
    profile = '{{range .HostConfig.SecurityOpt}}{{if eq (printf "%.9s" .) "seccomp={"}}{{slice . 8}}{{end}}{{end}}'
    return line("{} | {{ {}; }} 3<&0", command("docker", "inspect", "-f", profile, *name), creation)


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
    for host in wish.hosts:
        flags += ["--add-host", host]
    for option, values in (("--dns", wish.dns), ("--dns-search", container.dns_search)):
        for value in values:
            flags += [option, value]
    for value in container.dns_options:
        flags += ["--dns-option", value]
    return flags if mode in ("host", "none") else [*flags, *_port_flags(container, wish)]


def _port_flags(container: Container, wish: _Wish) -> list[str]:
    flags = []
    aliased = wish.attachments[0].links if wish.attachments and wish.mode != "bridge" else ()
    for link in dict.fromkeys((*wish.links, *aliased)):
        flags += ["--link", f"{link.target}:{link.alias}"]
    kept = {(b.port, b.protocol) for b in wish.publish}
    dropped = {(b.port, b.protocol) for b in container.bindings} - kept
    for port, protocol in container.exposed:
        if (port, protocol) not in kept | dropped:
            flags += ["--expose", f"{port}" if protocol == "tcp" else f"{port}/{protocol}"]
    for binding in wish.publish:
        flags += ["-p", publish_flag(binding)]
    return [*flags, "--publish-all"] if container.publish_all else flags


def _address_flags(endpoint: Endpoint) -> tuple[str, ...]:
    flags: list[str] = []
    for option, value in (("--ip", endpoint.requested_ipv4), ("--ip6", endpoint.requested_ipv6)):
        flags += [option, value] if value else []
    for value in endpoint.link_local:
        flags += ["--link-local-ip", value]
    return (*flags, f"--gw-priority={endpoint.gateway_priority}") if endpoint.gateway_priority else tuple(flags)


# --- the rest, from the inspection of the old one -------------------------------------------------------------------
# `~` stands for the NUL that ends an argument. Values of the snapshot are not used: they have no secrets any more.

_SETTINGS = (
    "{{range .Config.Env}}--env={{.}}~{{end}}",
    "{{range $k, $v := .Config.Labels}}--label={{$k}}={{$v}}~{{end}}",
    "{{with .Config.User}}--user={{.}}~{{end}}",
    "{{with .Config.WorkingDir}}--workdir={{.}}~{{end}}",
    "{{if .Config.Tty}}--tty~{{end}}",
    "{{if .Config.OpenStdin}}--interactive~{{end}}",
    "{{with .Config.StopSignal}}--stop-signal={{.}}~{{end}}",
    "{{with .Config.StopTimeout}}--stop-timeout={{.}}~{{end}}",
)

_HOST_SETTINGS = (
    "{{with .RestartPolicy}}{{if .Name}}--restart={{.Name}}{{with .MaximumRetryCount}}:{{.}}{{end}}~{{end}}{{end}}",
    "{{if .AutoRemove}}--rm~{{end}}",
    "{{with .LogConfig}}{{with .Type}}--log-driver={{.}}~{{end}}",
    "{{range $k, $v := .Config}}--log-opt={{$k}}={{$v}}~{{end}}{{end}}",
    "{{if .Privileged}}--privileged~{{else}}",
    '{{if eq (json .MaskedPaths) "[]"}}--security-opt=systempaths=unconfined~{{end}}{{end}}',
    "{{range .CapAdd}}--cap-add={{.}}~{{end}}",
    "{{range .CapDrop}}--cap-drop={{.}}~{{end}}",
    '{{range .SecurityOpt}}--security-opt={{if eq (printf "%.9s" .) "seccomp={"}}seccomp=/dev/fd/3{{else}}{{.}}{{end}}~{{end}}',
    "{{range .GroupAdd}}--group-add={{.}}~{{end}}",
    "{{with .IpcMode}}--ipc={{.}}~{{end}}",
    "{{with .PidMode}}--pid={{.}}~{{end}}",
    "{{with .UTSMode}}--uts={{.}}~{{end}}",
    "{{with .UsernsMode}}--userns={{.}}~{{end}}",
    "{{with .CgroupnsMode}}--cgroupns={{.}}~{{end}}",
    "{{with .CgroupParent}}--cgroup-parent={{.}}~{{end}}",
    "{{with .Runtime}}--runtime={{.}}~{{end}}",
    "{{with .Init}}--init={{.}}~{{end}}",
    "{{if .ReadonlyRootfs}}--read-only~{{end}}",
    "{{range $k, $v := .Tmpfs}}--tmpfs={{$k}}{{with $v}}:{{.}}{{end}}~{{end}}",
    "{{range $k, $v := .StorageOpt}}--storage-opt={{$k}}={{$v}}~{{end}}",
    "{{range $k, $v := .Sysctls}}--sysctl={{$k}}={{$v}}~{{end}}",
    "{{range .Ulimits}}--ulimit={{.Name}}={{.Soft}}:{{.Hard}}~{{end}}",
    "{{range .Devices}}--device={{.PathOnHost}}:{{.PathInContainer}}:{{.CgroupPermissions}}~{{end}}",
    "{{range .DeviceCgroupRules}}--device-cgroup-rule={{.}}~{{end}}",
    '{{range .DeviceRequests}}{{if eq .Driver "cdi"}}{{range .DeviceIDs}}--device={{.}}~{{end}}{{else}}',
    '--gpus={{if .DeviceIDs}}"device={{join .DeviceIDs ","}}"{{else if eq (json .Count) "-1"}}all{{else}}{{.Count}}{{end}}~',
    "{{end}}{{end}}",
    "{{with .ShmSize}}--shm-size={{.}}~{{end}}",
    "{{with .OomScoreAdj}}--oom-score-adj={{.}}~{{end}}",
    '{{if eq (json .OomKillDisable) "true"}}--oom-kill-disable~{{end}}',
    "{{with .PidsLimit}}--pids-limit={{.}}~{{end}}",
    "{{with .Memory}}--memory={{.}}~{{end}}",
    "{{with .MemorySwap}}--memory-swap={{.}}~{{end}}",
    "{{with .MemoryReservation}}--memory-reservation={{.}}~{{end}}",
    "{{with .MemorySwappiness}}--memory-swappiness={{.}}~{{end}}",
    '{{with .NanoCPUs}}{{$n := printf "%013d" .}}--cpus={{slice $n 0 4}}.{{slice $n 4}}~{{end}}',
    "{{with .CPUShares}}--cpu-shares={{.}}~{{end}}",
    "{{with .CPUPeriod}}--cpu-period={{.}}~{{end}}",
    "{{with .CPUQuota}}--cpu-quota={{.}}~{{end}}",
    "{{with .CpusetCpus}}--cpuset-cpus={{.}}~{{end}}",
    "{{with .CpusetMems}}--cpuset-mems={{.}}~{{end}}",
    "{{with .BlkioWeight}}--blkio-weight={{.}}~{{end}}",
    "{{range .BlkioWeightDevice}}--blkio-weight-device={{.Path}}:{{.Weight}}~{{end}}",
    "{{range .BlkioDeviceReadBps}}--device-read-bps={{.Path}}:{{.Rate}}~{{end}}",
    "{{range .BlkioDeviceWriteBps}}--device-write-bps={{.Path}}:{{.Rate}}~{{end}}",
    "{{range .BlkioDeviceReadIOps}}--device-read-iops={{.Path}}:{{.Rate}}~{{end}}",
    "{{range .BlkioDeviceWriteIOps}}--device-write-iops={{.Path}}:{{.Rate}}~{{end}}",
)

# --entrypoint takes one word: the others come first among the arguments. An empty one keeps the image's from coming back.
_ENTRYPOINT = "--entrypoint={{with .Config.Entrypoint}}{{index . 0}}{{end}}~"
_ARGUMENTS = "{{range $i, $e := .Config.Entrypoint}}{{if $i}}{{$e}}~{{end}}{{end}}{{range .Config.Cmd}}{{.}}~{{end}}"

_MOUNTS = (
    '{{range .Mounts}}{{if ne .Destination DESTINATION}}{{if or (eq .Type "bind") (eq .Type "volume")}}'
    '--volume={{if eq .Type "volume"}}{{.Name}}{{else}}{{.Source}}{{end}}:{{.Destination}}:'
    "{{if .RW}}rw{{else}}ro{{end}}{{with .Propagation}},{{.}}{{end}}~{{end}}{{end}}{{end}}"
    '{{range .HostConfig.Mounts}}{{if eq .Type "tmpfs"}}--mount=type=tmpfs,dst={{.Target}}{{with .TmpfsOptions}}'
    '{{with .SizeBytes}},tmpfs-size={{.}}{{end}}{{with .Mode}},tmpfs-mode={{printf "%o" .}}{{end}}{{end}}~{{end}}{{end}}'
)


def _mounts_one_by_one(container: Container, wish: _Wish) -> bool:
    """--volumes-from leaves none out, and fails on `--mount type=tmpfs`: "Unable to find image"."""
    return bool(wish.without_mount or container.tmpfs_mounts)


# Templates have no `replace`, but they can split and join.
def _substituted(flag: str, value: str, substitution: Substitution) -> str:
    """The template of one argument in which the first old text that is there has become the new one."""
    same = text = f"{flag}{{{{{value}}}}}~"
    for old, new in reversed(substitution.pairs):
        changed = f"join (split {value} {go_string(old)}) {go_string(new)}"
        text = f"{{{{$new := {changed}}}}}{{{{if ne $new {value}}}}}{flag}{{{{$new}}}}~{{{{else}}}}{text}{{{{end}}}}"
    if not substitution.variable:
        return text
    prefix = f"{substitution.variable}="
    mine = f'{{{{if eq (printf "%.{len(prefix)}s" {value}) {go_string(prefix)}}}}}'
    return f"{mine}{text}{{{{else}}}}{same}{{{{end}}}}"


_HEALTH = (
    # with NONE, the image's interval and the like are inherited all the same, and no flag may repeat them
    '{{with .Config.Healthcheck}}{{if eq (json .Test) "[\\"NONE\\"]"}}--no-healthcheck~{{else}}',
    '{{with .Test}}{{$t := index . 0}}{{if eq $t "CMD-SHELL"}}--health-cmd={{index . 1}}~{{end}}',
    "EXEC{{end}}",
    "{{with .Interval}}--health-interval={{json .}}ns~{{end}}",
    "{{with .Timeout}}--health-timeout={{json .}}ns~{{end}}",
    "{{with .StartPeriod}}--health-start-period={{json .}}ns~{{end}}",
    "START_INTERVAL{{with .Retries}}--health-retries={{.}}~{{end}}{{end}}{{end}}",
)
# No flag takes a health check of several words. The image's own is inherited; another becomes a shell line of them.
_HEALTH_EXEC = (
    '{{{{if eq $t "CMD"}}}}{{{{if ne (json .) `{0}`}}}}--health-cmd=exec{{{{range slice . 1}}}} {{{{"\\x27"}}}}'
    '{{{{join (split . "\\x27") "\\x27\\"\\x27\\"\\x27"}}}}{{{{"\\x27"}}}}{{{{end}}}}~{{{{end}}}}{{{{end}}}}'
)


def _template(facts: HostFacts, container: Container, wish: _Wish) -> Word:
    """The template, quoted for the shell, which puts what it must ask the image into it."""
    health = "".join(_HEALTH)
    since_25 = facts.generation >= (25, 0)
    health = health.replace("START_INTERVAL", "{{with .StartInterval}}--health-start-interval={{json .}}ns~{{end}}" * since_25)
    exec_form = bool(container.state.health and container.state.health.test[:1] == ("CMD",))
    own = "{{with .Config.Healthcheck}}{{json .Test}}{{end}}"
    health = health.replace("EXEC", _HEALTH_EXEC.format("\0health\0") if exec_form else "")
    settings = "".join(_SETTINGS)
    arguments = _ARGUMENTS
    for substitution in wish.substitutions:
        if substitution.variable:
            settings = settings.replace("--env={{.}}~", _substituted("--env=", ".", substitution))
        else:
            for value in ("$e", "."):
                arguments = arguments.replace(f"{{{{{value}}}}}~", _substituted("", value, substitution))
    for variable, value in wish.variables:
        settings += f"--env={{{{{go_string(f'{variable}={value}')}}}}}~"
    if _mounts_one_by_one(container, wish):
        settings += _MOUNTS.replace("DESTINATION", go_string(wish.without_mount))
    if container.compose:
        settings = settings.replace(
            "--label={{$k}}={{$v}}~", '{{if ne (printf "%.19s" $k) "com.docker.compose."}}--label={{$k}}={{$v}}~{{end}}'
        )
    if wish.attachments and facts.generation < (29, 0):
        settings += "{{with .Config.MacAddress}}--mac-address={{.}}~{{end}}"
    if container.domainname and not wish.mode.startswith("container:"):
        settings += "{{with .Config.Domainname}}--domainname={{.}}~{{end}}"
    host = "".join(_HOST_SETTINGS)
    if facts.generation >= (24, 0):
        host += "{{range $k, $v := .Annotations}}--annotation={{$k}}={{$v}}~{{end}}"
    # a tag that has moved on since would bring another image: then the id says which
    image = '{{if eq .Image "\0image\0"}}{{.Config.Image}}{{else}}{{.Image}}{{end}}~' if container.image else "{{.Image}}~"
    text = "".join((settings, health, "{{with .HostConfig}}", host, "{{end}}", _ENTRYPOINT, image, arguments))
    asked = {
        name: output(line("{} 2>/dev/null", command("docker", "image", "inspect", "-f", wanted, *operands(container.image))))
        for name, wanted in (("image", "{{.Id}}"), ("health", own))
    }
    parts = ('{{$z := "\\x00"}}' + text.replace("~", "{{$z}}")).split("\0")
    return glued(*(part if number % 2 == 0 else asked[part] for number, part in enumerate(parts)))
