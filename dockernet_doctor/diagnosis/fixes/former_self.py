"""What a new container takes from the one in whose place it comes: values that may be a secret, and so stand in no command.

Variables come as the lines of an `--env-file`, where the snapshot says that each of them is one line. That is tested once more
when the command runs: a value with a line break gives a line that `docker create` refuses, before anything is done. All else,
and the variables where they are not lines, are arguments ended by NUL, which a template of `docker inspect` prints for
`xargs -0`. Tried on engines 20.10, 26.1 and 28.5, with GNU's and busybox's xargs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from msgspec import Struct

from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, go_string, line, operands, output, pattern, replacement, step
from dockernet_doctor.snapshot.model import Container

_LONGEST_NAMES = 90  # characters of variables' names: behind them, asking the image is shorter
_PLAIN = regex(r"[A-Za-z0-9._/:@-]+")


class Substitution(Struct, frozen=True, kw_only=True):
    """Text of a setting to replace by another; the first of `pairs` whose old text is there counts.

    `variable` is the environment variable, "" the command line.
    """

    variable: str = ""
    pairs: tuple[tuple[str, str], ...]


def creation(
    container: Container,
    flags: Sequence[str],
    *,
    image: str,
    taken: Iterable[str],
    variables: Sequence[str],
    substitutions: Sequence[Substitution] = (),
    without_mount: str = "",
) -> Command:
    """`docker create` with these flags.

    `taken` are the options (see `OPTIONS`) whose value comes from the container, `image` too where it is not said; `variables`
    are those that come as lines, and must not be among them as `env`.
    """
    taken = frozenset(taken)
    words = list(flags)
    seccomp = "seccomp" in taken
    if seccomp and image:  # it is known to have one
        words += ["--security-opt", "seccomp=/dev/fd/4"]
        taken -= {"seccomp"}
    template = _template(container, taken, image, substitutions, without_mount)
    if variables:
        words += ["--env-file", "/dev/fd/3" if template else "/dev/stdin"]
    if not template or taken <= {"command"}:
        words += operands(image)
    create = command("docker", "create", *words)
    if template:
        create = line("{} | head -c -1 | xargs -0 {}", _inspect(container, template), create)
    if variables:
        lines = _lines(container, image, variables, substitutions)
        create = line("{} | {{ {}; }} 3<&0", lines, create) if template else line("{} | {}", lines, create)
    if seccomp:
        create = line("{} | {{ {}; }} 4<&0", _inspect(container, _SECCOMP), create)
    return create


def _inspect(container: Container, template: str) -> Command:
    return command("docker", "inspect", "-f", template, *operands(container.name))


# --- variables, as lines --------------------------------------------------------------------------------------------

# A line break in a value puts a line between that has no variable's name.
_ENV_LINES = '{{range .Config.Env}}{{println (join (split . "\\n") "\\n=\\n")}}{{end}}'


def _lines(container: Container, image: str, variables: Sequence[str], substitutions: Iterable[Substitution]) -> Command:
    lines = _inspect(container, _ENV_LINES)
    for substitution in substitutions:
        if substitution.variable:
            changes = [step("s#{}#{}#g", pattern("{}", old), replacement("{}", new)) for old, new in substitution.pairs]
            together = reduce(lambda before, change: step("{};t;{}", before, change), changes)
            among = step("/^{}=/{{{}}}", pattern("{}", substitution.variable), together)
            lines = line("{} | {}", lines, command("sed", "-E", among))
    if sum(map(len, variables)) <= _LONGEST_NAMES:
        names = reduce(lambda before, name: pattern("{}|{}", before, name), variables[1:], pattern("{}", variables[0]))
        return line("{} | {}", lines, command("grep", "-E", pattern("^({})?=", names)))
    known = command("docker", "image", "inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", *operands(image))
    return line("{} | grep -vxF {}", lines, output(known))


# --- all else, ended by NUL -----------------------------------------------------------------------------------------
# `~` stands for the NUL.

# --security-opt wants the profile as a file.
_SECCOMP = '{{range .HostConfig.SecurityOpt}}{{if eq (printf "%.9s" .) "seccomp={"}}{{slice . 8}}{{end}}{{end}}'

# No flag takes a health check of several words: it becomes a shell line of them.
_HEALTH = (
    '{{with .Config.Healthcheck}}{{with .Test}}{{$t := index . 0}}{{if eq $t "CMD-SHELL"}}--health-cmd={{index . 1}}~{{end}}'
    '{{if eq $t "CMD"}}--health-cmd=exec{{range slice . 1}} {{"\\x27"}}{{join (split . "\\x27") "\\x27\\"\\x27\\"\\x27"}}'
    '{{"\\x27"}}{{end}}~{{end}}{{end}}{{end}}'
)
_TMPFS = (
    '{{range .HostConfig.Mounts}}{{if eq .Type "tmpfs"}}--mount=type=tmpfs,dst={{.Target}}{{with .TmpfsOptions}}'
    '{{with .SizeBytes}},tmpfs-size={{.}}{{end}}{{with .Mode}},tmpfs-mode={{printf "%o" .}}{{end}}{{end}}~{{end}}{{end}}'
)
_VOLUMES = (
    '{{range .Mounts}}{{if ne .Destination DESTINATION}}{{if or (eq .Type "bind") (eq .Type "volume")}}'
    '--volume={{if eq .Type "volume"}}{{.Name}}{{else}}{{.Source}}{{end}}:{{.Destination}}:'
    "{{if .RW}}rw{{else}}ro{{end}}{{with .Propagation}},{{.}}{{end}}~{{end}}{{end}}{{end}}"
)


def _each(field: str, flag: str, value: str = "{{.}}") -> str:
    return f"{{{{range {field}}}}}--{flag}={value}~{{{{end}}}}"


def _pairs(field: str, flag: str) -> str:
    return f"{{{{range $k, $v := {field}}}}}--{flag}={{{{$k}}}}={{{{$v}}}}~{{{{end}}}}"


def _one(field: str, flag: str) -> str:
    return f"{{{{with {field}}}}}--{flag}={{{{.}}}}~{{{{end}}}}"


def _on(field: str, flag: str) -> str:
    return f"{{{{if {field}}}}}--{flag}~{{{{end}}}}"


OPTIONS: Mapping[str, str] = {
    "volume": _VOLUMES,
    "mount": _TMPFS,
    "tmpfs": "{{range $k, $v := .HostConfig.Tmpfs}}--tmpfs={{$k}}{{with $v}}:{{.}}{{end}}~{{end}}",
    "env": _each(".Config.Env", "env"),
    "label": _pairs(".Config.Labels", "label"),
    "user": _one(".Config.User", "user"),
    "workdir": _one(".Config.WorkingDir", "workdir"),
    "stop-signal": _one(".Config.StopSignal", "stop-signal"),
    "stop-timeout": _one(".Config.StopTimeout", "stop-timeout"),
    "mac-address": _one(".Config.MacAddress", "mac-address"),
    "interactive": _on(".Config.OpenStdin", "interactive"),
    "tty": _on(".Config.Tty", "tty"),
    "no-healthcheck": '{{with .Config.Healthcheck}}{{if eq (json .Test) "[\\"NONE\\"]"}}--no-healthcheck~{{end}}{{end}}',
    "health-cmd": _HEALTH,
    **{
        f"health-{flag}": '{{with .Config.Healthcheck}}{{if ne (json .Test) "[\\"NONE\\"]"}}'
        f"{{{{with .{field}}}}}--health-{flag}={{{{json .}}}}{unit}~{{{{end}}}}{{{{end}}}}{{{{end}}}}"
        for flag, field, unit in (
            ("interval", "Interval", "ns"),
            ("timeout", "Timeout", "ns"),
            ("start-period", "StartPeriod", "ns"),
            ("start-interval", "StartInterval", "ns"),
            ("retries", "Retries", ""),
        )
    },
    "restart": "{{with .HostConfig.RestartPolicy}}{{if .Name}}--restart={{.Name}}{{with .MaximumRetryCount}}:{{.}}{{end}}~"
    "{{end}}{{end}}",
    "rm": _on(".HostConfig.AutoRemove", "rm"),
    "log-driver": _one(".HostConfig.LogConfig.Type", "log-driver"),
    "log-opt": _pairs(".HostConfig.LogConfig.Config", "log-opt"),
    "privileged": _on(".HostConfig.Privileged", "privileged"),
    "cap-add": _each(".HostConfig.CapAdd", "cap-add"),
    "cap-drop": _each(".HostConfig.CapDrop", "cap-drop"),
    "security-opt": '{{if not .HostConfig.Privileged}}{{if eq (json .HostConfig.MaskedPaths) "[]"}}'
    "--security-opt=systempaths=unconfined~{{end}}{{end}}"
    '{{range .HostConfig.SecurityOpt}}{{if ne (printf "%.9s" .) "seccomp={"}}--security-opt={{.}}~{{end}}{{end}}',
    "seccomp": _SECCOMP.replace("{{slice . 8}}", "--security-opt=seccomp=/dev/fd/4~"),
    "group-add": _each(".HostConfig.GroupAdd", "group-add"),
    "ipc": _one(".HostConfig.IpcMode", "ipc"),
    "pid": _one(".HostConfig.PidMode", "pid"),
    "uts": _one(".HostConfig.UTSMode", "uts"),
    "userns": _one(".HostConfig.UsernsMode", "userns"),
    "cgroupns": _one(".HostConfig.CgroupnsMode", "cgroupns"),
    "cgroup-parent": _one(".HostConfig.CgroupParent", "cgroup-parent"),
    "runtime": _one(".HostConfig.Runtime", "runtime"),
    "init": _one(".HostConfig.Init", "init"),
    "read-only": _on(".HostConfig.ReadonlyRootfs", "read-only"),
    "sysctl": _pairs(".HostConfig.Sysctls", "sysctl"),
    "storage-opt": _pairs(".HostConfig.StorageOpt", "storage-opt"),
    "annotation": _pairs(".HostConfig.Annotations", "annotation"),
    "ulimit": _each(".HostConfig.Ulimits", "ulimit", "{{.Name}}={{.Soft}}:{{.Hard}}"),
    "device": _each(".HostConfig.Devices", "device", "{{.PathOnHost}}:{{.PathInContainer}}:{{.CgroupPermissions}}"),
    "device-cgroup-rule": _each(".HostConfig.DeviceCgroupRules", "device-cgroup-rule"),
    "gpus": '{{range .HostConfig.DeviceRequests}}{{if eq .Driver "cdi"}}{{range .DeviceIDs}}--device={{.}}~{{end}}{{else}}'
    '--gpus={{if .DeviceIDs}}"device={{join .DeviceIDs ","}}"{{else if eq (json .Count) "-1"}}all{{else}}{{.Count}}{{end}}~'
    "{{end}}{{end}}",
    "shm-size": _one(".HostConfig.ShmSize", "shm-size"),
    "oom-score-adj": _one(".HostConfig.OomScoreAdj", "oom-score-adj"),
    "oom-kill-disable": '{{if eq (json .HostConfig.OomKillDisable) "true"}}--oom-kill-disable~{{end}}',
    "pids-limit": _one(".HostConfig.PidsLimit", "pids-limit"),
    "memory": _one(".HostConfig.Memory", "memory"),
    "memory-swap": _one(".HostConfig.MemorySwap", "memory-swap"),
    "memory-reservation": _one(".HostConfig.MemoryReservation", "memory-reservation"),
    "memory-swappiness": _one(".HostConfig.MemorySwappiness", "memory-swappiness"),
    "cpus": '{{with .HostConfig.NanoCPUs}}{{$n := printf "%013d" .}}--cpus={{slice $n 0 4}}.{{slice $n 4}}~{{end}}',
    "cpu-shares": _one(".HostConfig.CPUShares", "cpu-shares"),
    "cpu-period": _one(".HostConfig.CPUPeriod", "cpu-period"),
    "cpu-quota": _one(".HostConfig.CPUQuota", "cpu-quota"),
    "cpu-rt-period": _one(".HostConfig.CPURealtimePeriod", "cpu-rt-period"),
    "cpu-rt-runtime": _one(".HostConfig.CPURealtimeRuntime", "cpu-rt-runtime"),
    "cpuset-cpus": _one(".HostConfig.CpusetCpus", "cpuset-cpus"),
    "cpuset-mems": _one(".HostConfig.CpusetMems", "cpuset-mems"),
    "blkio-weight": _one(".HostConfig.BlkioWeight", "blkio-weight"),
    "blkio-weight-device": _each(".HostConfig.BlkioWeightDevice", "blkio-weight-device", "{{.Path}}:{{.Weight}}"),
    "device-read-bps": _each(".HostConfig.BlkioDeviceReadBps", "device-read-bps", "{{.Path}}:{{.Rate}}"),
    "device-write-bps": _each(".HostConfig.BlkioDeviceWriteBps", "device-write-bps", "{{.Path}}:{{.Rate}}"),
    "device-read-iops": _each(".HostConfig.BlkioDeviceReadIOps", "device-read-iops", "{{.Path}}:{{.Rate}}"),
    "device-write-iops": _each(".HostConfig.BlkioDeviceWriteIOps", "device-write-iops", "{{.Path}}:{{.Rate}}"),
    # --entrypoint takes one word: the others come first among the arguments. An empty one keeps the image's from coming back.
    "entrypoint": "--entrypoint={{with .Config.Entrypoint}}{{index . 0}}{{end}}~",
    "image": "{{.Image}}~",
    "command": "{{range .Config.Cmd}}{{.}}~{{end}}",
}
"""What prints each option, in the order in which they come. Where nothing is known of a container, it takes all of them."""

SINCE: Mapping[str, tuple[int, int]] = {"annotation": (24, 0), "health-start-interval": (25, 0)}
"""Engines before have no such field, on which a template fails."""

_ENTRYPOINT_REST = "{{range $i, $e := .Config.Entrypoint}}{{if $i}}{{$e}}~{{end}}{{end}}"


def _template(
    container: Container, taken: frozenset[str], image: str, substitutions: Sequence[Substitution], without_mount: str
) -> str:
    """The template for these options; with the image, where options are among them, and "" where it would print nothing."""
    options = {name: text for name, text in OPTIONS.items() if name in taken and name not in ("image", "command")}
    if container.compose and "label" in options:
        label = '{{if ne (printf "%.19s" $k) "com.docker.compose."}}--label={{$k}}={{$v}}~{{end}}'
        options["label"] = options["label"].replace("--label={{$k}}={{$v}}~", label)
    if "volume" in options:
        options["volume"] = _VOLUMES.replace("DESTINATION", go_string(without_mount))
    arguments = (_ENTRYPOINT_REST if "entrypoint" in taken else "") + OPTIONS["command"] if "command" in taken else ""
    for substitution in substitutions:
        if substitution.variable and "env" in options:
            options["env"] = options["env"].replace("--env={{.}}~", _substituted("--env=", ".", substitution))
        elif not substitution.variable:
            for value in ("$e", "."):
                arguments = arguments.replace(f"{{{{{value}}}}}~", _substituted("", value, substitution))
    said = "".join(f"{word}~" if _PLAIN.fullmatch(word) else f"{{{{{go_string(word)}}}}}~" for word in operands(image))
    said = said if image else OPTIONS["image"]
    text = "".join((*options.values(), said if options else "", arguments))
    if text.count("~") < 3:
        return text.replace("~", '{{"\\x00"}}')
    return '{{$z := "\\x00"}}' + text.replace("~", "{{$z}}")


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
