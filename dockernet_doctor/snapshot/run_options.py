"""The options of `docker create` that a container was made with, from its inspection and that of its image.

Only what differs from the defaults of image and engine, in the order in which people write it. No value that is or may be a
secret is kept (environment, labels, command, health check, annotations, most options of a log driver): such an option stands
here with its name alone, `MASK` for a value, and of the environment with the names of its variables.

What the engine's API does not say, no option can: which options of a volume driver an existing volume was made with, and
`--kernel-memory`, which engines since 23 do not know.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import wire
from dockernet_doctor.snapshot.model import RunOption
from dockernet_doctor.snapshot.secrets import MASK, scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_SHM_SIZE = 64 << 20
_UNITS = (("g", 30), ("m", 20), ("k", 10))
# What --env-file and grep take for one line of NAME=VALUE.
_ENV_LINE = regex(r"[A-Za-z_][A-Za-z0-9_.-]*=[^\r\n\0\ufffd]{0,32000}\Z")
_PLAIN_LOG_OPTIONS = "tag max-size max-file max-buffer-size compress mode cache-disabled cache-max-size cache-max-file"
_NAMES = ("env", "expose", "volumes-from", "volume-driver", "image")  # which are no secret
_GPU = [["gpu"]]
_HEALTH_NONE = ["NONE"]


def run_options(
    item: wire.Container, image: wire.Image, info: wire.Info, others: Mapping[str, wire.Container]
) -> tuple[RunOption, ...] | None:
    """The options, the last of them the image; None where the inspection is not as an engine's is.

    `others` are all containers by id and name: --volumes-from brings their mounts along.
    """
    try:
        host = item.host(wire.HostOptions)
        config = item.Config or wire.ContainerConfig()
        found = (
            *_mounts(item, host, others),
            *_environment(config, image.Config or wire.ContainerConfig()),
            *_of_config(config, image.Config or wire.ContainerConfig()),
            *_of_host(host, info),
            *_limits(host),
            *_devices(host),
            ("image", _image(item, config, image)),
        )
        return _without_secrets(found)
    except ValueError:
        return None


def _without_secrets(found: Iterable[tuple[str, str]]) -> tuple[RunOption, ...]:
    """All of an option, or nothing of it: what comes from the container itself comes as a whole."""
    options = [RunOption(name=name, value=_kept(name, value)) for name, value in found]
    masked = dict.fromkeys(option.name for option in options if option.value == MASK)
    if masked.keys() & {"volume", "mount"}:
        masked |= {"volume": None, "mount": None}
    whole = (RunOption(name=name, value=MASK) for name in masked)
    return (*(option for option in options if option.name not in masked), *whole)


def _kept(name: str, value: str) -> str:
    return value if name in _NAMES or scrub(value, ids=True) == value else MASK


def _image(item: wire.Container, config: wire.ContainerConfig, image: wire.Image) -> str:
    """Its name, or where that is another image's by now, the short id."""
    name, last = config.Image, config.Image.rpartition("/")[2]
    tags = {name} if ":" in last or "@" in last else {f"{name}:latest"}
    known = {*(image.RepoTags or ()), *(image.RepoDigests or ())}
    return name if tags & known else item.Image.removeprefix("sha256:")[:12]


# --- what the image has, too ----------------------------------------------------------------------------------------


def _environment(config: wire.ContainerConfig, image: wire.ContainerConfig) -> Iterator[tuple[str, str]]:
    known = frozenset(image.Env or ())
    own = [entry for entry in config.Env or () if entry not in known]
    if all(map(_ENV_LINE.match, own)):
        yield from (("env", entry.partition("=")[0]) for entry in own)
    else:
        yield "env", MASK


def _of_config(config: wire.ContainerConfig, image: wire.ContainerConfig) -> Iterator[tuple[str, str]]:
    labels, known = config.Labels or {}, image.Labels or {}
    if any(known.get(key) != value for key, value in labels.items()):
        yield "label", MASK
    for name, value, inherited in (
        ("user", config.User, image.User),
        ("workdir", config.WorkingDir, image.WorkingDir),
        ("stop-signal", config.StopSignal, image.StopSignal),
        ("mac-address", config.MacAddress, ""),
    ):
        if value and value != inherited:
            yield name, value
    if config.StopTimeout is not None:
        yield "stop-timeout", str(config.StopTimeout)
    yield from (("expose", port) for port in sorted((config.ExposedPorts or {}).keys() - (image.ExposedPorts or {}).keys()))
    if config.OpenStdin:
        yield "interactive", ""
    if config.Tty:
        yield "tty", ""
    yield from _health(config.Healthcheck or wire.HealthTest(), image.Healthcheck or wire.HealthTest())
    own = (config.Entrypoint or []) != (image.Entrypoint or []) or bool(image.Cmd and not config.Cmd)
    if own:
        yield "entrypoint", MASK
    if own or (config.Cmd or []) != (image.Cmd or []):
        yield "command", MASK


def _health(health: wire.HealthTest, image: wire.HealthTest) -> Iterator[tuple[str, str]]:
    if health.Test == _HEALTH_NONE != image.Test:
        yield "no-healthcheck", ""
    if health.Test == _HEALTH_NONE:
        return  # the image's interval and the like are inherited all the same, and no flag may repeat them
    if health.Test and health.Test != image.Test:
        yield "health-cmd", MASK
    for name, value, inherited in (
        ("health-interval", health.Interval, image.Interval),
        ("health-timeout", health.Timeout, image.Timeout),
        ("health-start-period", health.StartPeriod, image.StartPeriod),
        ("health-start-interval", health.StartInterval, image.StartInterval),
    ):
        if value and value != inherited:
            yield name, f"{value // 10**9}s" if value % 10**9 == 0 else f"{value}ns"
    if health.Retries and health.Retries != image.Retries:
        yield "health-retries", str(health.Retries)


# --- mounts ---------------------------------------------------------------------------------------------------------


def _mounts(item: wire.Container, host: wire.HostOptions, others: Mapping[str, wire.Container]) -> Iterator[tuple[str, str]]:
    """As they were asked for. Volumes that nobody named would be new and empty ones: they come from the container itself, and
    stay without a name, so that they go with it. Not so where the old one takes them along when it stops (--rm), and where
    --volumes-from does not take a tmpfs of --mount: there they are named."""
    mine = {(mount.Destination, mount.Name, mount.Source) for mount in item.Mounts or ()}
    borrowed: set[str] = set()
    for source in host.VolumesFrom or ():
        other = others.get(source.partition(":")[0])
        theirs = {(mount.Destination, mount.Name, mount.Source) for mount in (other.Mounts if other else None) or ()}
        if theirs and theirs <= mine:  # else it is another container by now
            yield "volumes-from", source
            borrowed |= {destination for destination, _, _ in theirs}
    specs = [spec for spec in host.Mounts or () if spec.Type != "volume" or spec.Source]
    asked = {bind_target(bind) for bind in host.Binds or ()} | {posixpath.normpath(spec.Target) for spec in specs}
    unnamed = [m for m in item.Mounts or () if m.Type == "volume" and m.Destination not in asked | borrowed]
    if unnamed and not host.AutoRemove and not any(mount.Type == "tmpfs" for mount in item.Mounts or ()):
        yield "volumes-from", item.Name.removeprefix("/")
        unnamed = []
    yield from (("volume", bind) for bind in host.Binds or ())
    yield from (("volume", f"{mount.Name}:{mount.Destination}" + ("" if mount.RW else ":ro")) for mount in unnamed)
    yield from (("mount", _mount(spec)) for spec in specs)
    yield from (("tmpfs", f"{path}:{options}" if options else path) for path, options in (host.Tmpfs or {}).items())
    if host.VolumeDriver:
        yield "volume-driver", host.VolumeDriver


def bind_target(bind: str) -> str:
    """The destination of `SOURCE:DESTINATION[:OPTIONS]`."""
    parts = bind.split(":")
    return posixpath.normpath(parts[1] if len(parts) > 1 else parts[0])


def _mount(spec: wire.MountSpec) -> str:
    """`type=bind,src=/a,dst=/b,ro`. Without driver options: the volume is there already, and they may hold a password."""
    fields = [f"type={spec.Type}"]
    fields += [f"src={spec.Source}"] if spec.Source else []
    fields.append(f"dst={spec.Target}")
    fields += ["ro"] if spec.ReadOnly else []
    fields += [f"consistency={spec.Consistency}"] if spec.Consistency not in ("", "default") else []
    if bind := spec.BindOptions:
        fields += [f"bind-propagation={bind.Propagation}"] if bind.Propagation else []
        if bind.NonRecursive:
            fields.append("bind-recursive=disabled")
        elif bind.ReadOnlyNonRecursive:
            fields.append("bind-recursive=writable")
        elif bind.ReadOnlyForceRecursive:
            fields.append("bind-recursive=readonly")
    if spec.VolumeOptions:
        fields += ["volume-nocopy"] if spec.VolumeOptions.NoCopy else []
        fields += [f"volume-subpath={spec.VolumeOptions.Subpath}"] if spec.VolumeOptions.Subpath else []
    if tmpfs := spec.TmpfsOptions:
        fields += [f"tmpfs-size={tmpfs.SizeBytes}"] if tmpfs.SizeBytes else []
        fields += [f"tmpfs-mode={tmpfs.Mode:o}"] if tmpfs.Mode else []
    return _csv(fields)


def _csv(fields: Iterable[str]) -> str:
    """Fields of --mount and --gpus, which the client reads as a line of CSV."""
    return ",".join('"' + field.replace('"', '""') + '"' if {",", '"'} & set(field) else field for field in fields)


# --- what the engine has a default for ------------------------------------------------------------------------------


def _of_host(host: wire.HostOptions, info: wire.Info) -> Iterator[tuple[str, str]]:
    policy = host.RestartPolicy
    if policy and policy.Name not in ("", "no"):
        yield "restart", f"{policy.Name}:{policy.MaximumRetryCount}" if policy.MaximumRetryCount else policy.Name
    if host.AutoRemove:
        yield "rm", ""
    yield from _log(host.LogConfig or wire.Log(), info)
    if host.Privileged:
        yield "privileged", ""
    elif host.MaskedPaths == []:
        yield "security-opt", "systempaths=unconfined"
    yield from (("cap-add", capability.removeprefix("CAP_")) for capability in host.CapAdd or ())
    yield from (("cap-drop", capability.removeprefix("CAP_")) for capability in host.CapDrop or ())
    yield from _security(host)
    yield from (("group-add", group) for group in host.GroupAdd or ())
    group_mode = "host" if host.Privileged and info.CgroupVersion == "1" else "private" if info.CgroupVersion == "2" else "host"
    for name, value, default in (
        ("ipc", host.IpcMode, "private"),
        ("pid", host.PidMode, ""),
        ("uts", host.UTSMode, ""),
        ("userns", host.UsernsMode, ""),
        ("cgroupns", host.CgroupnsMode, group_mode),
        ("cgroup-parent", host.CgroupParent, ""),
        ("runtime", host.Runtime, info.DefaultRuntime),
    ):
        if value and value != default:
            yield name, value
    if host.Init is not None:
        yield "init", "" if host.Init else "false"
    if host.ReadonlyRootfs:
        yield "read-only", ""
    yield from (("sysctl", f"{key}={value}") for key, value in (host.Sysctls or {}).items())
    yield from (("storage-opt", f"{key}={value}") for key, value in (host.StorageOpt or {}).items())
    if host.Annotations:
        yield "annotation", MASK


def _log(log: wire.Log, info: wire.Info) -> Iterator[tuple[str, str]]:
    if log.Type and log.Type != info.LoggingDriver:
        yield "log-driver", log.Type
    options = log.Config or {}
    if options.keys() <= set(_PLAIN_LOG_OPTIONS.split()):
        yield from (("log-opt", f"{key}={value}") for key, value in options.items())
    else:
        yield "log-opt", MASK


def _security(host: wire.HostOptions) -> Iterator[tuple[str, str]]:
    options = host.SecurityOpt or []
    if options == ["label=disable"] and (host.Privileged or "host" in (host.PidMode, host.IpcMode)):
        return  # which the engine adds
    # --security-opt wants a seccomp profile as a file, the inspection holds its text
    yield from (("seccomp", MASK) if option.startswith("seccomp={") else ("security-opt", option) for option in options)


def _limits(host: wire.HostOptions) -> Iterator[tuple[str, str]]:
    swap = host.MemorySwap if host.MemorySwap != 2 * host.Memory else 0
    for name, size in (
        ("memory", host.Memory),
        ("memory-swap", swap),
        ("memory-reservation", host.MemoryReservation),
        ("shm-size", 0 if host.ShmSize == _SHM_SIZE else host.ShmSize),
    ):
        if size:
            yield name, _size(size)
    if host.NanoCpus:
        yield "cpus", f"{host.NanoCpus / 10**9:.9f}".rstrip("0").rstrip(".")
    for name, number in (
        ("cpu-shares", host.CpuShares),
        ("cpu-period", host.CpuPeriod),
        ("cpu-quota", host.CpuQuota),
        ("cpu-rt-period", host.CpuRealtimePeriod),
        ("cpu-rt-runtime", host.CpuRealtimeRuntime),
        ("blkio-weight", host.BlkioWeight),
        ("oom-score-adj", host.OomScoreAdj),
        ("pids-limit", host.PidsLimit),
    ):
        if number:
            yield name, str(number)
    if host.MemorySwappiness is not None and host.MemorySwappiness >= 0:
        yield "memory-swappiness", str(host.MemorySwappiness)
    if host.OomKillDisable:
        yield "oom-kill-disable", ""
    for name, cpus in (("cpuset-cpus", host.CpusetCpus), ("cpuset-mems", host.CpusetMems)):
        if cpus:
            yield name, cpus
    for limit in host.Ulimits or ():
        yield "ulimit", f"{limit.Name}={limit.Soft}" + (f":{limit.Hard}" if limit.Hard != limit.Soft else "")


def _size(octets: int) -> str:
    for unit, bits in _UNITS:
        if octets > 0 and octets % (1 << bits) == 0:
            return f"{octets >> bits}{unit}"
    return str(octets)


def _devices(host: wire.HostOptions) -> Iterator[tuple[str, str]]:
    for device in host.Devices or ():
        rights = "" if device.CgroupPermissions in ("", "rwm") else f":{device.CgroupPermissions}"
        inside = f":{device.PathInContainer}" if rights or device.PathInContainer != device.PathOnHost else ""
        yield "device", f"{device.PathOnHost}{inside}{rights}"
    yield from (("device-cgroup-rule", rule) for rule in host.DeviceCgroupRules or ())
    for request in host.DeviceRequests or ():
        if request.Driver == "cdi":
            yield from (("device", device) for device in request.DeviceIDs or ())
        else:
            yield "gpus", _gpus(request)
    for weight in host.BlkioWeightDevice or ():
        yield "blkio-weight-device", f"{weight.Path}:{weight.Weight}"
    rates: Mapping[str, Sequence[wire.DeviceRate] | None] = {
        "device-read-bps": host.BlkioDeviceReadBps,
        "device-write-bps": host.BlkioDeviceWriteBps,
        "device-read-iops": host.BlkioDeviceReadIOps,
        "device-write-iops": host.BlkioDeviceWriteIOps,
    }
    for name, devices in rates.items():
        for rate in devices or ():
            yield name, f"{rate.Path}:{_size(rate.Rate) if name.endswith('bps') else rate.Rate}"


def _gpus(request: wire.DeviceRequest) -> str:
    fields = [f"device={','.join(request.DeviceIDs)}"] if request.DeviceIDs else []
    fields += [] if fields else ["all" if request.Count == -1 else f"{request.Count}"]
    fields += [f"driver={request.Driver}"] if request.Driver else []
    if request.Capabilities and request.Capabilities != _GPU:
        fields.append(f"capabilities={','.join(request.Capabilities[0])}")
    return _csv(fields)
