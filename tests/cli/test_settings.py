"""Settings: every one in every layer, the file that counts, and what a wrong one is told."""

from __future__ import annotations

import json
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from objlib_fsm.cli.layers import KEYS, LAYERS, BadSettings, Effective, Layer, load
from objlib_fsm.cli.settings import Key, Settings, nested
from objlib_fsm.core import policy
from objlib_fsm.engine.session import Options
from objlib_fsm.resources import schema_dir
from tests.docs.schema_subset import problems
from tests.support.command import CANARY, Place

TABLES = "metadata.rules"
"""Tables, which only a file can hold."""

GIVEN: list[Layer] = [layer for layer in LAYERS if layer != "default"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for name in ("GOOGLE_GEMINI_BASE_URL", "OBJLIB_CONFIG", *(key.variable for key in KEYS.values())):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def literal(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def toml(values: dict[str, Any]) -> str:
    """Dotted keys with their values as a settings file."""
    top = [f"{name} = {literal(value)}" for name, value in values.items() if "." not in name]
    tables = sorted({name.partition(".")[0] for name in values if "." in name})
    for table in tables:
        top.append(f"[{table}]")
        top += [
            f"{name.partition('.')[2]} = {literal(value)}"
            for name, value in values.items()
            if name.startswith(table + ".")
        ]
    return "\n".join(top) + "\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def samples(key: Key) -> list[Any]:
    """Four values of the key, each different and in its bounds, waits in an order that they may have."""
    schema = msgspec.json.schema(key.type)
    schema = next((kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"), schema)
    if key.name == "endpoint":
        return [f"http://127.0.0.1:{port}" for port in (8001, 8002, 8003, 8004)]
    if "enum" in schema:
        words = [word for word in schema["enum"] if word != key.default]
        return (words * 4)[:4]
    if schema["type"] == "boolean":
        return [False, True, False, True]
    if key.name == TABLES:
        return [[], [{"path": "{course}/*.md", "set": {"year": 2024, "topics": ["a", "b"]}}], [], []]
    if key.name == "metadata.searchable":
        return [["a"], ["b", "c"], [], ["d"]]
    if schema["type"] == "array":
        return [["*.a"], ["*.b", "c/"], [], ["*.d"]]
    if schema["type"] == "string":
        return ["one", "two", "three", "four"]
    if key.name.startswith("waits."):
        return [key.default + step / 16 for step in (1, 2, 3, 4)]
    low, high = max(schema["minimum"], 0), schema["maximum"]
    return [low + (high - low) // 7 * step for step in (1, 2, 3, 4)]


def put(
    where: Path, monkeypatch: pytest.MonkeyPatch, layers: tuple[Layer, ...], key: Key, values: dict[Layer, Any]
) -> Effective:
    """Set the key in those layers and load."""
    for layer in layers:
        value = values[layer]
        if layer == "user":
            write(where / "xdg/objlib/config.toml", toml({key.name: value}))
        elif layer == "project":
            write(where / "objlib.toml", toml({key.name: value}))
        elif layer == "environment":
            text = "\n".join(value) if isinstance(value, list) else json.dumps(value).strip('"')
            monkeypatch.setenv(key.variable, text)
    flags = {key.name: values["flag"]} if "flag" in layers else {}
    return load(flags, None, where / ".objlib/log.db")


def value_of(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("layers", [c for n in range(len(GIVEN) + 1) for c in combinations(GIVEN, n)], ids="+".join)
@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.name != TABLES], ids=lambda key: key.name)
def test_of_several_layers_the_nearest_wins(
    here: Path, monkeypatch: pytest.MonkeyPatch, key: Key, layers: tuple[Layer, ...]
) -> None:
    values = dict(zip(GIVEN, samples(key), strict=True))
    if "environment" in layers and values["environment"] == []:
        values["environment"] = ["*.env"]
    effective = put(here, monkeypatch, layers, key, values)
    origin = effective.origins[key.name]
    assert origin.layer == (layers[0] if layers else "default")
    default = list(key.default) if isinstance(key.default, tuple) else key.default
    assert value_of(effective.settings, key.name) == (values[layers[0]] if layers else default)
    source = {"flag": "--", "environment": "$" + key.variable, "project": "objlib.toml:", "user": "config.toml:"}
    assert source.get(origin.layer, "") in origin.source
    others = {name: found.layer for name, found in effective.origins.items() if name != key.name}
    assert set(others.values()) == {"default"}


def test_the_defaults_are_those_of_the_engine() -> None:
    """Incident 31: each command had defaults of its own, and they contradicted each other."""
    settings, options = Settings(), Options()
    for name in ("store", "concurrency", "polls", "batch_size", "waits", "recovery_limit_s"):
        assert getattr(settings, name) == getattr(options, name), name
    waits = settings.waits
    assert (waits.active_first_s, waits.active_max_s, waits.active_total_s) == (2.0, 30.0, 300.0)
    assert (waits.poll_first_s, waits.poll_max_s, waits.poll_total_s) == (5.0, 60.0, policy.POLL_TOTAL_S)


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_a_value_of_a_wrong_type_is_told_with_file_line_and_key(here: Path, key: Key) -> None:
    write(here / "objlib.toml", wrong(key))
    with pytest.raises(BadSettings) as caught:
        load({}, None, here / "log.db")
    assert f"objlib.toml:{3 if '.' in key.name else 2}: {key.name}: " in str(caught.value)
    assert caught.value.code == 6


def wrong(key: Key) -> str:
    """A file whose one setting is a date, which none is, after a line of comment."""
    table, _, last = key.name.rpartition(".")
    return "# settings\n" + (f"[{table}]\n" if table else "") + f"{last} = 2026-11-20\n"


@pytest.mark.parametrize("key", [k for k in KEYS.values() if type(k.default) in (float, int)], ids=lambda k: k.name)
def test_a_number_out_of_its_bounds_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch, key: Key) -> None:
    for value in ("-1", "1e12" if isinstance(key.default, float) else "1000000000000"):
        monkeypatch.setenv(key.variable, value)
        with pytest.raises(BadSettings, match=key.name):
            load({}, None, here / "log.db")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("concurency = 5", "objlib.toml:1: there is no setting 'concurency'; did you mean 'concurrency'?"),
        ("\n[wait]\npoll_max_s = 3", "there is no setting 'wait'"),
        (
            "[waits]\npoll_mx_s = 3",
            "objlib.toml:2: there is no setting 'waits.poll_mx_s'; did you mean 'waits.poll_max_s'",
        ),
        ("poll_max_s = 3", "objlib.toml:1: there is no setting 'poll_max_s'; did you mean 'waits.poll_max_s'"),
        ('tier = "teir2"', "objlib.toml:1: tier: 'teir2' is none of free, tier1, tier2, tier3; did you mean 'tier2'"),
        ("waits = 3", "objlib.toml:1: waits is a table: write [waits]"),
        ("waits = { poll_max_s = true }", "objlib.toml:1: waits.poll_max_s: "),
        ("[waits]\npoll_max_s = 2", "objlib.toml:2: waits: poll_first_s <= poll_max_s <= poll_total_s must hold"),
        ("[waits]\npoll_max_s = nan", "objlib.toml:2: waits.poll_max_s: "),
        ("concurrency = ", "this is not TOML"),
        ("concurrency = 5\nconcurrency = 6", "this is not TOML"),
        ("store = ''", "objlib.toml:1: store: "),
        ('[metadata]\nrules = [{ path = "*", sets = {} }]', "unknown field sets - at $[0]; did you mean 'set'?"),
        (f"[metadata]\nsearchable = {[f'field{n}' for n in range(18)]}", "length <= 17 (Further fields that go with"),
        (f"[metadata]\nsearchable = {[f'field{n}' for n in range(18)]}", "it takes 20, 3 are ours)"),
    ],
)
def test_what_is_wrong_is_told(here: Path, text: str, told: str) -> None:
    write(here / "objlib.toml", text)
    with pytest.raises(BadSettings) as caught:
        load({}, None, here / "log.db")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe tier", b"# " + b"x" * 1_048_600],
    ids=["not UTF-8", "too large"],
)
def test_what_is_no_settings_file_is_told(here: Path, content: bytes) -> None:
    (here / "objlib.toml").write_bytes(content)
    with pytest.raises(BadSettings, match=r"objlib\.toml"):
        load({}, None, here / "log.db")


@pytest.mark.parametrize(
    "text",
    [
        f'api_key = "{CANARY}"',
        f'store = "{CANARY}"',
        'gemini_api_key = "x"',
        f'ignore = ["a", "{CANARY}"]',
        f'[waits]\napi_key = "{CANARY}"',
        'endpoint = "https://example.com/?key=AIzaSyA0123456789abcdefghijklmnopqrstuv"',
    ],
)
def test_a_key_in_a_file_is_refused_and_shown_nowhere(place: Place, text: str) -> None:
    write(place.folder / "objlib.toml", text)
    done = place.run("config", "show", "--json")
    assert done.code == 6
    assert "an API key does not belong into settings" in done.err
    assert CANARY not in done.err + done.out
    assert "AIza" not in done.err + done.out


def test_a_variable_that_is_nearly_a_setting_is_an_error_and_another_programs_is_not(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJLIB_XYZZY", "1")
    assert load({}, None, here / "log.db").settings == Settings()
    monkeypatch.setenv("OBJLIB_CONCURENCY", "5")
    with pytest.raises(BadSettings, match="OBJLIB_CONCURRENCY"):
        load({}, None, here / "log.db")


def test_the_project_is_here_above_or_beside_the_log_in_this_order(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = here / "elsewhere/.objlib/log.db"
    deep = here / "project/a/b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load({}, None, log).files == {}
    beside = write(here / "elsewhere/objlib.toml", "")
    assert load({}, None, log).files == {"project": beside}
    above = write(here / "project/objlib.toml", "")
    assert load({}, None, log).files == {"project": above}
    named = write(here / "named.toml", "")
    monkeypatch.setenv("OBJLIB_CONFIG", str(named))
    assert load({}, None, log).files == {"project": named}
    other = write(here / "other.toml", "")
    assert load({}, other, log).files == {"project": other}
    with pytest.raises(BadSettings, match="cannot be read"):
        load({}, here / "absent.toml", log)


def test_what_config_show_prints_is_a_settings_file(place: Place) -> None:
    wanted = {key.name: samples(key)[1] for key in KEYS.values() if not key.name.startswith("waits.")}
    write(place.folder / "objlib.toml", toml(wanted))
    printed = tomllib.loads(place.ok("config", "show").out)
    assert msgspec.convert(printed, Settings) == msgspec.convert(nested(dict(wanted)), Settings)
    schema = json.loads((schema_dir() / "config.json").read_text("utf-8"))
    assert list(problems(printed, schema, schema)) == []
    for wrong_one in ({"concurency": 5}, {"concurrency": 2}, {"tier": "tier9"}, {"store": ""}):
        assert list(problems(wrong_one, schema, schema)) != [], wrong_one
    done = place.ok("config", "show", "--json", "--tier", "free").json
    shown = {setting["key"]: setting for setting in done["settings"]}
    assert list(shown) == list(KEYS)
    assert (shown["tier"]["value"], shown["tier"]["origin"], shown["tier"]["source"]) == ("free", "flag", "--tier")
    assert shown["store"]["source"].endswith("objlib.toml:1")


def test_config_show_prints_what_can_be_used_and_then_what_cannot(place: Place) -> None:
    write(
        place.folder / "objlib.toml",
        'store = "mine"\nconcurency = 5\npolls = "many"\n[waits]\npoll_max_s = 2\n',
    )
    done = place.run("config", "show", "--origin", OBJLIB_TIER="tier9")
    assert done.code == 6
    assert 'store = "mine"' in done.out
    assert "# project: " in done.out
    for told in ("objlib.toml:2: there is no setting", "objlib.toml:3: polls", "$OBJLIB_TIER: tier", "must hold"):
        assert told in done.err
    lines = place.run("config", "show", "--json").lines
    assert [line["type"] for line in lines] == ["config", "error"]
    assert lines[-1]["exit_code"] == 6


def test_an_option_is_named_as_it_was_given(here: Path) -> None:
    origins = load({"adaptive": False, "batch_size": 120}, None, here / "log.db").origins
    assert (origins["adaptive"].source, origins["batch_size"].source) == ("--no-adaptive", "--batch-size")


def test_settings_reach_the_run(place: Place) -> None:
    place.write("a.md")
    place.write("b.log")
    write(
        place.folder / "objlib.toml",
        'store = "mine"\nbackend = "local"\nconcurrency = 4\npolls = 9\nbatch_size = 101\nignore = ["*.log"]\n',
    )
    lines = place.ok("run", "docs", "--json", "--concurrency", "5", OBJLIB_POLLS="8").lines
    assert lines[-1]["indexed"] == 1
    assert place.ok("status", "--json").json["store_name"] == "mine"
    started = next(e for e in events(place) if e["type"] == "run_started")
    assert started["options"] == {"concurrency": 5, "polls": 8, "batch_size": 101}
    write(place.folder / "objlib.toml", "[prices]\nusd_per_million_tokens = 1000000\n")
    place.write("c.md", "x" * 4_000)
    plan = place.ok("run", "--dry-run", "--json").json
    assert plan["price_usd"] == pytest.approx(plan["tokens"], rel=0.01)


def events(place: Place) -> list[dict[str, Any]]:
    """The library's own events."""
    import sqlite3

    from objlib_fsm.core.table import Kind

    with sqlite3.connect(place.log) as db:
        rows = db.execute("SELECT kind, body FROM events WHERE kind >= 64 ORDER BY position").fetchall()
    return [{"type": Kind(kind).label, **json.loads(body)} for kind, body in rows]


def test_an_address_that_came_with_the_folder_is_not_given_the_key(place: Place) -> None:
    place.write("a.md")
    write(place.folder / "objlib.toml", 'endpoint = "https://collector.example"\n')
    done = place.run("run", "docs", "--yes", GEMINI_API_KEY=CANARY)
    assert done.code == 6
    assert "came with the folder" in done.err
    assert not place.log.exists()
    shown = place.ok("config", "show", "--json").json["settings"]
    assert {"key": "endpoint", "origin": "project"}.items() <= next(s for s in shown if s["key"] == "endpoint").items()
    named = place.run("run", "docs", "--yes", "--dry-run", "--config", "objlib.toml", GEMINI_API_KEY=CANARY)
    assert named.code == 0, named.err


def test_local_in_the_settings_is_not_undone_by_an_address_from_elsewhere(place: Place) -> None:
    place.write("a.md")
    write(place.folder / "objlib.toml", 'backend = "local"\n')
    plan = place.ok("run", "docs", "--dry-run", "--json", GOOGLE_GEMINI_BASE_URL="http://127.0.0.1:9").json
    assert plan["backend"] == "local"
    done = place.run("run", "docs", "--endpoint", "http://127.0.0.1:9")
    assert done.code == 2
    assert "backend = local" in done.err


def test_a_settings_file_is_not_indexed(place: Place) -> None:
    place.write("a.md")
    place.write("objlib.toml", "# nothing\n")
    assert place.ok("run", "docs", "--json").lines[-1]["total"] == 1
