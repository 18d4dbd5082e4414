"""What the pages say holds: links lead somewhere, commands and options exist, sessions print what is shown."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.docs import kit

sys.path.insert(0, str(kit.DOCS))
from generator import commands

sys.path.remove(str(kit.DOCS))

PAGES = kit.pages()
SESSIONS = [page for page in PAGES if page.is_relative_to(kit.DOCS) and kit.session(page)]

MACHINE_PATHS = re.compile(r"/(work|root)/|/tmp/(?!store\.db)|/home/\w|\.pyenv|site-packages")
"""Places of one machine; ``/tmp/store.db`` is the help's own example."""


@cache
def options_of(command: str) -> frozenset[str]:
    """The options that a command's ``--help`` lists; "" is the program itself."""
    text = commands.help_of(*([command] if command else []))
    listed = re.findall(r"^  (-[\w-]+(?:, -[\w-]+)*)", text.partition("\nOptions:\n")[2], re.MULTILINE)
    return frozenset(option for names in listed for option in names.split(", "))


@cache
def names() -> frozenset[str]:
    return frozenset(commands.names())


def lines_with_commands(page: Path) -> list[str]:
    """Every command line of the program on the page, in blocks and in running text."""
    text = page.read_text("utf-8")
    found = [line for block in kit.blocks(page) if block.language != "text" for line in block.text.splitlines()]
    found += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for line in found if re.search(r"(^|[\s|;&(])objlib-fsm(\s|$)", line)]


def wrong_in(line: str) -> str:
    """What is wrong with the command lines of the program in *line*; "" when nothing is."""
    for piece in re.split(r"\s(?:\||\|\||&&|;|>|2>|&)(?=\s|$)|\$\(|#", line):
        _, program, rest = piece.partition("objlib-fsm ")
        if not program:
            continue
        try:
            words = shlex.split(rest.rstrip(")`"))
        except ValueError as error:
            return f"{line!r}: {error}"
        command = next((word for word in words if word in names()), "")
        known = options_of("") | (options_of(command) if command else frozenset())
        first = next((word for word in words if not word.startswith("-")), "")
        if first and not command and first.isalpha() and first.islower():
            return f"{line!r}: there is no command {first}"
        for word in words:
            option = word.partition("=")[0]
            if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
                return f"{line!r}: {command or 'the program'} has no option {option}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=kit.name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in kit.links(page):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{kit.name_of(page)} links to {link}, which does not exist"
        assert path.is_relative_to(kit.ROOT), f"{kit.name_of(page)} links out of the repository: {link}"
        if anchor:
            assert anchor in kit.anchors(path), f"{kit.name_of(page)} links to {link}: there is no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [kit.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in kit.links(page) if ":" not in link]
    missing = {page for page in PAGES if page.is_relative_to(kit.DOCS)} - reached
    assert not missing, f"no page links to {sorted(map(kit.name_of, missing))}"


@pytest.mark.parametrize("page", PAGES, ids=kit.name_of)
def test_commands_and_options_exist(page: Path) -> None:
    assert [wrong for line in lines_with_commands(page) if (wrong := wrong_in(line))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("objlib-fsm runn notes", "there is no command runn"),
        ("objlib-fsm status --stat failed", "status has no option --stat"),
        ("cd x && objlib-fsm --db a.db replay --chek | head", "replay has no option --chek"),
        ("$ (cd notes; objlib-fsm ask 'q' --topk 3)", "ask has no option --topk"),
    ],
)
def test_a_wrong_command_line_is_noticed(line: str, wrong: str) -> None:
    assert wrong in wrong_in(line)


@pytest.mark.parametrize("page", PAGES, ids=kit.name_of)
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    assert MACHINE_PATHS.search(page.read_text("utf-8")) is None


@pytest.mark.parametrize("page", SESSIONS, ids=kit.name_of)
def test_sessions_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    wanted = kit.session(page)
    folder = tmp_path / "work"
    folder.mkdir()
    ran = kit.run_session(wanted, folder)
    for index, (command, did) in enumerate(zip(wanted, ran, strict=False)):
        told = "\n".join(did.printed)
        follower = wanted[index + 1].text if index + 1 < len(wanted) else ""
        assert did.code == 0 or follower == "echo $?", f"`{command.text}` ended with {did.code}:\n{told}"
        shown = "\n".join(command.expected)
        assert kit.fits(command.expected, did.printed), (
            f"`{command.text}` is shown to print\n{shown}\nand printed\n{told}"
        )
    assert len(ran) == len(wanted), f"`{wanted[len(ran)].text}` did not end"


@pytest.mark.parametrize(
    ("expected", "printed", "fit"),
    [
        (["  2  indexed"], ["  17  indexed"], True),
        (["  2  indexed"], ["  2  failed"], False),
        (["a ... b"], ["a x y b"], True),
        (["a", "...", "z"], ["a", "b", "c", "z"], True),
        (["a", "z"], ["a", "b", "z"], False),
        (["a"], ["a", "b"], False),
        ([], ["anything"], True),
    ],
)
def test_what_is_shown_is_compared(expected: list[str], printed: list[str], fit: bool) -> None:
    assert kit.fits(expected, printed) is fit


def test_the_readme_shows_what_make_demo_prints(tmp_path: Path) -> None:
    block = next(block.text for block in kit.blocks(kit.ROOT / "README.md") if block.text.startswith(".venv/bin/"))
    recipe = (kit.ROOT / "Makefile").read_text("utf-8").replace("$(BIN)", ".venv/bin").replace("$(DEMO)", "build/demo")
    shown = list(kit.commands(block, ".venv/bin/"))
    assert len(shown) == 3
    (tmp_path / "work/build/demo").mkdir(parents=True)
    shutil.copytree(kit.DOCS, tmp_path / "work/docs", ignore=shutil.ignore_patterns("__pycache__"))

    ran = kit.run_session(shown, tmp_path / "work")

    for command, did in zip(shown, ran, strict=True):
        assert f"\t.venv/bin/{command.text}\n" in recipe, "the Makefile has another command"
        assert did.code == 0, did.printed
        assert kit.fits(command.expected, did.printed), "\n".join([command.text, *did.printed])
