"""The pages: every command parses, every setting exists, every link has a target."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from apsam import cli
from apsam.config import parse_config
from apsam.errors import ConfigError
from workflow_support.targets import TARGETS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# Names of the reader's own files in pages.
READERS_FILES = {
    "config/mine.yaml",
    "config/mine_scenes.tsv",
    "my_scenes.yaml",
    "a.yaml",
    "b.yaml",
    "profiles/mine",
    "valley/valley.yaml",
}
# Programs whose arguments are not checked.
OTHERS = {
    "cd",
    "cp",
    "mkdir",
    "git",
    "hf",
    "pip",
    "source",
    "torchrun",
    "srun",
    "pre-commit",
    "apptainer",
    "rsync",
    "bash",
}
SHELL = re.compile(r"^( *)```(?:bash|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^( *)```yaml\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(page: str) -> Iterator[tuple[list[str], bool]]:
    """Yield the words of every command, and whether it is complete: in shell blocks it is, elsewhere it may not be."""
    for block in SHELL.finditer(page):
        for line in block[2].replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                yield _words(part), True
    for code in re.findall(r"`((?:apsam|snakemake|make|dvc) [^`]+)`", SHELL.sub("", page)):
        if "..." not in code:
            yield _words(code), False


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    return words


def wrong(words: list[str], complete: bool = True) -> str | None:
    """Return the problem of a command, or None."""
    program, arguments = words[0], words[1:]
    match program:
        case "apsam":
            return wrong_apsam(arguments, complete)
        case "snakemake":
            return wrong_snakemake(arguments)
        case "make":
            return next((f"no target {a}" for a in arguments if "=" not in a and a not in make_targets()), None)
        case "dvc":
            return wrong_dvc(arguments)
        case "python":
            return wrong_python(arguments)
        case "pytest":
            return next((f"no file {a}" for a in arguments if a.startswith("tests/") and not (ROOT / a).exists()), None)
    return None if program in OTHERS else f"{program}: a program that this test does not know"


def wrong_apsam(arguments: list[str], complete: bool) -> str | None:
    command = apsam_command()
    while hasattr(command, "commands"):
        if not arguments:
            return "names no command"
        if arguments[0] not in command.commands:
            return None if arguments[0] == "--version" else f"no command {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    options = {
        option: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given, words = set(), iter(arguments)
    for word in words:
        if word not in options and word.startswith("-") and word != "--help":
            return f"no option {word}"
        parameter = options.get(word)
        if parameter and not parameter.is_flag and next(words, "-").startswith("-") and complete:
            return f"{word} lacks its value"
        given.add(parameter.name if parameter else "an argument")
    required = [parameter for parameter in command.params if parameter.required]
    missing = [p.name for p in required if (p.name if p in options.values() else "an argument") not in given]
    return f"lacks {missing}" if missing and complete else None


@cache
def apsam_command() -> Any:
    return typer.main.get_command(cli.app)


def wrong_snakemake(arguments: list[str]) -> str | None:
    options = [a.partition("=")[0] for a in arguments if a.startswith("--") and a != "--"]
    unknown = [option for option in options if option not in snakemake_options()]
    if unknown:
        return f"no option {unknown}"
    current, positional = "", []
    for word in arguments:
        if word.startswith("-"):
            current = word
        elif current == "--configfile":
            if not (ROOT / word).is_file() and word not in READERS_FILES:
                return f"no file {word}"
        elif current == "--profile":
            if not (ROOT / word).is_dir() and word not in READERS_FILES:
                return f"no profile {word}"
            current = ""
        elif current == "--config":
            key, _, value = word.partition("=")
            try:
                parse_config({key: yaml.safe_load(value)})
            except ConfigError as error:
                return str(error)
        elif current == "--cores":
            current = ""
        elif current not in ("--set-threads", "--resources", "--software-deployment-method", "--groups"):
            positional.append(word)
    missing = [word for word in positional if word not in TARGETS and not word.startswith("results/")]
    return f"no target {missing}" if missing else None


def wrong_dvc(arguments: list[str]) -> str | None:
    if arguments[0] not in dvc_commands():
        return f"no command {arguments[0]}"
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for change in (after for option, after in zip(arguments, arguments[1:], strict=False) if option == "-S"):
        place = params
        for key in change.partition("=")[0].split("."):
            place = place.get(key) if isinstance(place, dict) else None
        if place is None:
            return f"no setting {change}"
    return None


def wrong_python(arguments: list[str]) -> str | None:
    if arguments[0] == "-m":
        return None if importlib.util.find_spec(arguments[1]) else f"no module {arguments[1]}"
    return None if (ROOT / arguments[0]).is_file() else f"no file {arguments[0]}"


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def snakemake_options() -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", _help("snakemake")))


@cache
def dvc_commands() -> set[str]:
    return set(re.findall(r"^ {4}(?:[a-z-]+ \()?([a-z-]+)", _help("dvc"), re.MULTILINE))


def _help(program: str) -> str:
    return subprocess.run([Path(sys.executable).parent / program, "--help"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_pages_parse(page: Path) -> None:
    problems = [
        f"{shlex.join(words)}: {problem}"
        for words, complete in commands(page.read_text())
        if words and (problem := wrong(words, complete))
    ]
    assert not problems


def test_wrong_commands_are_found() -> None:
    for line in (
        "apsam prdict a.tif",
        "apsam predict a.tif -o x --no-such-option",
        "apsam predict a.tif",
        "apsam predict -o x",
        "snakemake --coares 2",
        "snakemake --cores 2 -- no_target",
        "snakemake --cores 2 --configfile config.yaml config/no.yaml",
        "snakemake --cores 2 --config promts='{threshold: 2}'",
        "make no-target",
        "dvc exp run -S prompts.treshold=2",
        "dvc nothing",
        "python -m benchmarks.nothing",
        "unknown program",
    ):
        assert wrong(_words(line)), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_pages_exist(page: Path) -> None:
    for _, text in YAML.findall(page.read_text()):
        parse_config(yaml.safe_load(text), page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(re.sub(r"`[^`]*`", "", page.read_text())):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


FILE = re.compile(
    r"`((?:apsam|workflow_support|rules|scripts|tests|config|benchmarks|docs|profiles|envs)/[\w/.-]+\.(?:py|smk|yaml|md|tsv|json))`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_named_in_pages_exist(page: Path) -> None:
    named = set(FILE.findall(page.read_text())) - READERS_FILES
    assert not {file for file in named if not (ROOT / file).is_file()}


@cache
def anchors(file: Path) -> set[str]:
    """Return the anchors of the headings of a page, on the site and on forges."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= listed


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_api_page_has_every_public_name() -> None:
    """Whatever `apsam.__all__` has: the page is made from it when the site is built."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra docs)")
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    import apsam

    page = hooks.api_page(apsam)
    for name in getattr(apsam, "__all__", ()):
        if not name.startswith("__"):
            assert f"heading: apsam.{name}\n" in page
