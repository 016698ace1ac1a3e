"""Commands are made of words, in one place."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor import shell
from dockernet_doctor.diagnosis.finding import Fix

ROOT = Path(__file__).parents[2]
PIECES = {name for name, value in vars(shell).items() if isinstance(value, type) and issubclass(value, shell.Piece)}
TEMPLATED = {"line", "step", "pattern", "replacement", "nft"}
HOSTILE = (
    "$(id)",
    "`id`",
    ";id",
    "a\nb",
    "a'b",
    'a"b',
    "-x",
    'x"; }',
    "\x1b[2J",
    "a\\0012b",
    "%s\\n",
    "ä\u202eb",
    "",
    " ",
    "~",
    "*",
)


def spoken(command: str) -> list[str]:
    """The words that `show` is given by a command."""
    script = f'show() {{ printf "%s\\0" "$@"; }}; {command}'
    return subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_word_arrives_whole(text: str) -> None:
    for made in (shell.command("show", text), shell.line("show {}", text), shell.command("show", shell.glued(text))):
        assert made.isprintable()
        assert spoken(made) == [text]
    inner = shell.command("printf", "%s\\0", text)
    (told,) = spoken(shell.command("show", inner))
    assert subprocess.run(["sh", "-c", told], check=True, capture_output=True).stdout.decode() == f"{text}\0"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1, max_size=3))
def test_any_words_arrive_whole(words: list[str]) -> None:
    made = shell.command("show", *words)
    if any(word.endswith("\n") for word in words):
        assert made.unsayable
    else:
        assert spoken(made) == words
    assert made.replace("\t", "").isprintable()


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb", "a\n"])
def test_what_no_command_can_hold_is_not_run(text: str) -> None:
    inner = shell.command("show", text)
    for made in (inner, shell.then(shell.command("true"), inner), shell.command("nsenter", "sh", "-c", inner)):
        assert made.startswith("# ")
        assert made.isprintable()
        fix = Fix(summary="Try.", commands=(shell.command("true"), made))
        assert not fix.runnable


def test_names_that_begin_with_a_dash_stand_behind_two() -> None:
    assert shell.command("docker", "start", *shell.operands("web", "-db")) == "docker start -- web -db"
    assert shell.command("docker", "start", *shell.operands("web", "db")) == "docker start web db"


@pytest.mark.parametrize("name", ['x"; }', "a b", "-x", "$(id)", "a;b", "#", "", "1x"])
def test_nft_is_given_no_name_that_it_would_take_for_more(name: str) -> None:
    assert shell.command("nft", shell.nft("add table {}", name)).unsayable


@pytest.mark.parametrize("name", ['x"; }', "eth*", "a\nb", ""])
def test_nft_is_given_no_string_that_it_would_end_early(name: str) -> None:
    assert shell.command("nft", shell.nft('iifname "{}"', name)).unsayable
    assert shell.nft('iifname "{}" {}', "br-1", shell.nft("ip daddr {}", "10.0.0.0/8")) == 'iifname "br-1" ip daddr 10.0.0.0/8'


SED = ("x#e;1e touch CANARY;#", "a\ne touch CANARY", "&\\1", "s/a/b/e", "[a]", "$(touch CANARY)", "a|b", "w CANARY", "\\n")


@pytest.mark.parametrize("text", SED)
def test_sed_takes_text_for_text(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.conf"
    one = text.replace("\n", "\t")  # sed reads line by line
    for steps, before, after in (
        ([shell.step("{}s#{}#{}#", 1, shell.pattern("{}", one), shell.replacement("<{}>", text))], one, f"<{text}>\n"),
        ([shell.appended(1, text)], "first", f"first\n{text}\n"),
    ):
        file.write_text(f"{before}\n", encoding="utf-8")
        subprocess.run(["sh", "-c", shell.sed(str(file), *steps)], check=True, cwd=tmp_path)
        assert file.read_text(encoding="utf-8") == after
        assert {path.name for path in tmp_path.iterdir()} == {"file.conf", "file.conf.before"}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc",
        "/etc/profile.d/x.sh",
        "/etc/cron.d/x",
        "/etc/ld.so.preload",
        "/etc/docker/../shadow",
        "/etc/default/../x.conf/../cron.d/x",
        "/root/.ssh/authorized_keys",
        "etc/docker/daemon.json",
        "-x.conf",
        "/a.conf\n",
        "",
    ],
)
def test_a_fix_changes_no_file_but_those_of_its_kinds(path: str) -> None:
    for made in (
        shell.command("mv", shell.changeable(path), "/etc/docker/daemon.json"),
        shell.sed(path, shell.step("{}d", 1)),
        shell.write(path, "line"),
    ):
        assert made.unsayable


def test_a_fix_changes_files_of_its_kinds() -> None:
    for path in (
        "/etc/docker/daemon.json.new",
        "/etc/docker/env",
        "/etc/default/docker",
        "/etc/systemd/system/docker.service.d/override",
        "/home/a b/.config/docker/daemon.json",
        "/srv/shop/compose.yaml.before",
        "/etc/sysctl.d/60-hardening.conf",
        "/var/run/docker.pid.stale",
    ):
        assert spoken(shell.command("show", shell.changeable(path))) == [path]


@pytest.mark.parametrize("text", ["a\nkernel.core_pattern = |/x", "a\rb"])
def test_what_is_written_is_one_line(text: str) -> None:
    assert shell.write("/etc/sysctl.d/99-docker.conf", text).unsayable


def test_a_setting_leads_to_its_own_file() -> None:
    assert shell.setting("net.ipv4.ip_forward", "1") == "net.ipv4.ip_forward=1"
    assert shell.setting("net.ipv4.conf.br-0123.rp_filter", "2", " = ") == "net.ipv4.conf.br-0123.rp_filter = 2"
    assert shell.setting("net.ipv4.conf.eth0.100.rp_filter", "2") == "net.ipv4.conf.eth0/100.rp_filter=2"


@pytest.mark.parametrize(
    "key",
    [
        "net.ipv4.conf.all.//.//.//.//.kernel.core_pattern=|/x.rp_filter",
        "net.ipv4.conf...rp_filter",
        "net.ipv4.conf....rp_filter",
        "net.ipv4.conf.*.rp_filter",
        "net.ipv4.conf.a b.rp_filter",
        "net.ipv4.conf.a\nkernel.panic=1 .rp_filter",
        "net.ipv4.conf.a=b.rp_filter",
        "net/ipv4/conf/a/rp_filter",
        "-p",
    ],
)
def test_no_name_of_an_interface_leads_to_another_setting(key: str) -> None:
    assert shell.command("sysctl", "-w", shell.setting(key, "1")).unsayable


def test_go_reads_a_string_as_it_was() -> None:
    assert shell.go_string('{{"a\\~ä\U0001f600') == '"{{\\U00000022a\\U0000005c\\U0000007e\\U000000e4\\U0001f600"'


def test_a_fix_takes_no_text_that_a_shell_would_read_as_more() -> None:
    careless: tuple[str, ...] = ("docker start web",)
    assert Fix(summary="Start web.", commands=careless).commands == careless  # type: ignore[arg-type]
    for command in ("docker start $(id)", "docker start web; id", "docker start 'web'", "a\nb", "a > b"):
        with pytest.raises(TypeError, match=re.escape(repr(command))):
            Fix(summary="Start web.", commands=(command,))  # type: ignore[arg-type]


def sources() -> list[Path]:
    found = [path for room in ("dockernet_doctor", "checks") for path in (ROOT / room).rglob("*.py")]
    return [path for path in found if path != Path(shell.__file__)]


def made_by(called: ast.expr, imported: dict[str, str]) -> str:
    """The function of `shell` that is called, by whatever name, or a cast; "" for any other."""
    if isinstance(called, ast.Name):
        return imported.get(called.id, "")
    if isinstance(called, ast.Attribute) and ast.unparse(called.value) not in ("re", "click"):
        return called.attr if called.attr in PIECES or ast.unparse(called.value).endswith("shell") else ""
    return ""


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_shell_makes_commands_and_its_templates_are_literals(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("dockernet_doctor.shell", "typing")
        for alias in node.names
    }
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = made_by(node.func, imported)
        where = f"{path}:{node.lineno}"
        assert name not in PIECES, f"{where} makes a {name} itself"
        if name == "cast":
            assert not re.search(r"(?<!click\.)\bCommand\b", ast.unparse(node.args[0])), where
        if name in TEMPLATED:
            template = node.args[0]
            literal = isinstance(template, ast.Constant) or (isinstance(template, ast.Name) and template.id in constants)
            assert literal, f"{where}: the template of {name} is no literal"


_FORMATTED = re.compile(r"docker (?:logs|top|rename|exec|inspect|stats|start|stop|restart|(?:network|service|node) \w+) $")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_has_a_name_put_into_a_command(path: Path) -> None:
    """What a summary or a remark has its reader type is made by `shell.command`, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sources = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "source"]
    for node in ast.walk(tree):
        values = node.values if isinstance(node, ast.JoinedStr) and node not in sources else []
        for before, after in itertools.pairwise(values):
            if isinstance(before, ast.Constant) and isinstance(after, ast.FormattedValue):
                assert not _FORMATTED.search(str(before.value)), f"{path}: {ast.unparse(node)}"
