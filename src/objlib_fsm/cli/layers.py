"""Where settings come from: options, environment, the project's file, the user's file, defaults, in this order.

The project's file is ``--config FILE``, else ``$OBJLIB_CONFIG``, else the nearest ``objlib.toml`` from the current
folder upward, else the one beside the folder of the log.  Each value is checked where it stands, so that an error
names the file and the line; what several values must keep to together is checked in the end.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from objlib_fsm.cli.options import NotNow
from objlib_fsm.cli.settings import PREFIX, Key, Settings, keys, nested

PROJECT_FILE: Final = "objlib.toml"
USER_FOLDER: Final = "objlib"
USER_FILE: Final = "config.toml"
FILE_VARIABLE: Final = "OBJLIB_CONFIG"
ENDPOINT_VARIABLE: Final = "GOOGLE_GEMINI_BASE_URL"

FILE_BYTES_MAX: Final = 1_048_576
"""A larger file is no file of settings."""

VARIABLE_CUTOFF: Final = 0.9
"""How like a setting's variable another must be to be taken for a slip: they have seven characters in common anyhow."""

Layer = Literal["flag", "environment", "project", "user", "default"]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)
"""The one that wins first."""

KEY_LIKE: Final = re.compile(r"AIza[\w-]{30,}|AQ\.[\w-]{20,}")
"""The two forms of Google's API keys."""

_SECRET_NAME: Final = re.compile(r"api_?key|secret|token$|password|credential", re.IGNORECASE)
_OTHER_VARIABLES: Final = (FILE_VARIABLE, "OBJLIB_DB")
_HINT: Final = "objlib-fsm config show --origin lists every setting and where it comes from"
_KEY_HINT: Final = "put it into $GEMINI_API_KEY, or into a file of its own that only you can read: --api-key-file FILE"
_NO_KEYS: Final = "an API key does not belong into settings, which are copied, committed and backed up"


class BadSettings(NotNow):
    """A setting that cannot be used; nothing was done."""


Bad = Callable[[BadSettings], None]
"""What becomes of a setting that cannot be used; when it returns, the setting is left out."""


def refuse(error: BadSettings) -> None:
    """Nothing is done with settings of which one cannot be used."""
    raise error


class Origin(NamedTuple):
    """Where a value comes from: the layer, and the file with its line, the variable or the option."""

    layer: Layer
    source: str
    trusted: bool = True
    """Whether whoever runs the program chose the source: a file that lay about in the folder was found, not chosen."""


class Effective(NamedTuple):
    """The settings in force, where each comes from, and the files that were read."""

    settings: Settings
    origins: dict[str, Origin]
    files: dict[str, Path]


class _Value(NamedTuple):
    value: Any
    origin: Origin


_Values = dict[str, _Value]

DEFAULT: Final = Origin("default", "")
KEYS: Final = {key.name: key for key in keys()}


def load(flags: Mapping[str, Any], config: Path | None, log: Path, bad: Bad = refuse) -> Effective:
    """The settings for this command.  *flags* are the options that were given.

    Raises `BadSettings` at the first that cannot be used, unless *bad* takes it.
    """
    files: dict[str, Path] = {}
    values: _Values = {}
    user = user_file()
    if user.is_file():
        files["user"] = user
        values |= _of_file(user, "user", bad, trusted=True)
    named = config or _named()
    project = named or find_project(Path.cwd(), log)
    if project is not None:
        files["project"] = project
        values |= _of_file(project, "project", bad, trusted=named is not None)
    values |= _of_environment(os.environ, bad)
    values |= {name: _Value(value, Origin("flag", _option(name, value))) for name, value in flags.items()}
    settings = _converted(values, bad)
    return Effective(settings, {name: values[name].origin if name in values else DEFAULT for name in KEYS}, files)


def _converted(values: _Values, bad: Bad) -> Settings:
    """The settings of *values*, from which those are taken away that do not go together."""
    while True:
        try:
            return msgspec.convert(nested({name: value.value for name, value in values.items()}), Settings)
        except msgspec.ValidationError as error:
            table, problem = _together(error, values)
            bad(problem)
            for name in [name for name in values if name.startswith(f"{table}.")] or list(values):
                del values[name]


def _option(name: str, value: Any) -> str:
    return f"--{'no-' if value is False else ''}{name.replace('_', '-')}"


def find_project(here: Path, log: Path) -> Path | None:
    """The project's file: the nearest from *here* upward, else the one beside the folder of the log."""
    beside = log.absolute().parent
    for folder in (here, *here.parents, beside, beside.parent):
        candidate = folder / PROJECT_FILE
        if candidate.is_file():
            return candidate
    return None


def user_file() -> Path:
    """``objlib/config.toml`` in ``$XDG_CONFIG_HOME``, else in the system's folder for settings."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base, USER_FOLDER, USER_FILE)
    from platformdirs import user_config_path

    return user_config_path(USER_FOLDER, appauthor=False) / USER_FILE


def _named() -> Path | None:
    text = os.environ.get(FILE_VARIABLE, "")
    return Path(text) if text else None


def _of_file(path: Path, layer: Layer, bad: Bad, *, trusted: bool) -> _Values:
    values: _Values = {}
    try:
        text = _read(path)
        tables = tomllib.loads(text)
    except BadSettings as error:
        bad(error)
        return values
    except tomllib.TOMLDecodeError as error:
        bad(BadSettings(f"{path}: this is not TOML: {error}", _HINT))
        return values
    for name, value in _leaves(path, text, tables, "", bad):
        _put(values, KEYS[name], value, Origin(layer, _at(path, text, name), trusted), bad, strict=True)
    return values


def _put(values: _Values, key: Key, value: Any, origin: Origin, bad: Bad, *, strict: bool) -> None:
    try:
        values[key.name] = _Value(_checked(key, value, origin.source, strict=strict), origin)
    except BadSettings as error:
        bad(error)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise BadSettings(f"{path}: this is no file of settings, it is larger than {FILE_BYTES_MAX:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise BadSettings(f"{path}: the settings cannot be read: {error.strerror}", _HINT) from None
    except UnicodeDecodeError as error:
        raise BadSettings(f"{path}: the settings are not UTF-8: byte {error.start:,}", _HINT) from None


def _leaves(path: Path, text: str, table: Mapping[str, Any], above: str, bad: Bad) -> Iterator[tuple[str, Any]]:
    """What is set in the file, by dotted key; *bad* is given what cannot be set."""
    for part, value in table.items():
        name = above + part
        if name in KEYS:
            yield name, value
        elif any(key.startswith(name + ".") for key in KEYS):
            if isinstance(value, dict):
                yield from _leaves(path, text, value, name + ".", bad)
            else:
                bad(BadSettings(f"{_at(path, text, name)}: {name} is a table: write [{name}]", _HINT))
        elif _SECRET_NAME.search(part):
            bad(BadSettings(f"{_at(path, text, name)}: {name}: {_NO_KEYS}", _KEY_HINT))
        else:
            bad(BadSettings(f"{_at(path, text, name)}: there is no setting {name!r}{_near(name, KEYS)}", _HINT))


def _of_environment(environ: Mapping[str, str], bad: Bad) -> _Values:
    variables = {key.variable: key for key in KEYS.values()}
    values: _Values = {}
    endpoint = environ.get(ENDPOINT_VARIABLE, "")
    if endpoint:
        values["endpoint"] = _Value(endpoint, Origin("environment", f"${ENDPOINT_VARIABLE}"))
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES or not text:
            continue
        key = variables.get(variable)
        if key is None:
            near = difflib.get_close_matches(variable, variables, 1, cutoff=VARIABLE_CUTOFF)
            if _SECRET_NAME.search(variable):
                bad(BadSettings(f"${variable} is not read", _KEY_HINT))
            elif near:
                bad(BadSettings(f"${variable}: there is no such setting; did you mean ${near[0]}?", _HINT))
            continue  # Else it is another program's.
        value: Any = text.splitlines() if isinstance(key.default, tuple) else text
        _put(values, key, value, Origin("environment", f"${variable}"), bad, strict=False)
    return values


def _checked(key: Key, value: Any, source: str, *, strict: bool) -> Any:
    """The value in the key's type.  Raises `BadSettings`, which never shows it."""
    if _holds_key(value):
        raise BadSettings(f"{source}: {key.name}: {_NO_KEYS}", _KEY_HINT)
    try:
        return msgspec.convert(value, key.type, strict=strict)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{source}: {key.name}: {_reason(key, value, str(error))}", _HINT) from None


def _reason(key: Key, value: Any, said: str) -> str:
    inner = getattr(key.type, "__origin__", key.type)
    words = getattr(inner, "__args__", ()) if getattr(inner, "__origin__", None) is Literal else ()
    if words and isinstance(value, str):
        return f"{value!r} is none of {', '.join(words)}{_near(value, words)}"
    told = said[:1].lower() + said[1:].replace("`", "")
    unknown = re.search(r"unknown field `([^`]*)`", said)
    if unknown is not None:
        return told + _near(unknown[1], _fields(key.type))
    return f"{told} ({key.meaning.rstrip('.')})" if key.meaning else told


def _fields(kind: Any) -> list[str]:
    """What the tables in a list may set."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [field.encode_name for field in msgspec.structs.fields(kind)]
    return [name for inner in get_args(kind) for name in _fields(inner)]


def _holds_key(value: Any) -> bool:
    if isinstance(value, str):
        return KEY_LIKE.search(value) is not None
    if isinstance(value, dict):
        return any(_holds_key(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_holds_key, value))


def _together(error: msgspec.ValidationError, values: _Values) -> tuple[str, BadSettings]:
    """The table, and what is wrong with values that are each all right; *error* ends with the table's path."""
    said, _, where = str(error).partition(" - at `$.")
    table = where.rstrip("`")
    sources = sorted({value.origin.source for name, value in values.items() if name.startswith(f"{table}.")})
    return table, BadSettings(f"{', '.join(sources) or 'the settings'}: {table}: {said}", _HINT)


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.6)
    if not near:
        last = {key.rpartition(".")[2]: key for key in known}
        near = [last[found] for found in difflib.get_close_matches(name.rpartition(".")[2], list(last), 1, cutoff=0.75)]
    return f"; did you mean {near[0]!r}?" if near else ""


def _at(path: Path, text: str, name: str) -> str:
    """``FILE:LINE`` of a key, or the file alone where the line cannot be told."""
    above: list[str] = []
    wanted = name.split(".")
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            above = _parts(header[1])
            if above == wanted:
                return f"{path}:{number}"
        elif (setting := _SETTING.match(line)) is not None:
            here = above + _parts(setting[1])
            if here == wanted or (here == wanted[: len(here)] and "{" in line):
                return f"{path}:{number}"
    return str(path)


_HEADER: Final = re.compile(r"\s*\[\[?([^\[\]]+)\]")
_SETTING: Final = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def _parts(dotted: str) -> list[str]:
    return [part.strip(" \t\"'") for part in dotted.split(".")]
