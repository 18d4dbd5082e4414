"""What is said of a file besides its bytes, and which part of it goes with its document.

Three sources, the later one wins: rules by path from the settings, YAML front matter, and a sidecar ``NAME.meta.json``.
The searchable fields become the document's metadata, checked against the service's limits before anything is sent;
everything else is kept in the log.  A header made from a template can stand before the text that is sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from objlib_fsm.core.ids import metadata_hash
from objlib_fsm.core.paths import LibraryPath
from objlib_fsm.library import sources
from objlib_fsm.library.sources import BadMetadata
from objlib_fsm.library.values import Sidecar

Value = str | int | float | tuple[str, ...]

SEARCHABLE: Final = (
    "category",
    "course",
    "difficulty",
    "year",
    "quarter",
    "quality_score",
    "date",
    "week",
    "topics",
)
"""The fields that always go with a document."""

QUALITY: Final[Mapping[str, int]] = {"complete": 100, "partial": 75, "minimal": 50, "none": 25, "unknown": 0}
"""What ``quality_score`` is when it is given as a word."""

KEYS_MAX: Final = 20
OWN_KEYS: Final = 3
"""The service takes 20 keys of metadata for a document; three are ours."""

KEY_AND_VALUE_CHARS_MAX: Final = 256
LIST_ITEMS_MAX: Final = 10
LIST_ITEM_CHARS_MAX: Final = 100
"""The service's limits (measured: what is beyond them is refused as an "invalid argument")."""

RULES_MAX: Final = 200
"""Rules are tried one after the other for each file of a scan."""

WILDCARDS_MAX: Final = 3
"""Of one part of a path, and of ``**`` in a rule: what may be tried in vain grows with the length to this power."""

HEADER_TEMPLATE_CHARS_MAX: Final = 2_000
HEADER_VALUE_CHARS_MAX: Final = 256

_NUMBERS: Final = frozenset({"year", "quarter", "week"})
"""Fields that are a number in a path, and digits alone; a course called 101 stays text."""

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OURS: Final = "objlib_"
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_TOKEN: Final = re.compile(r"\*\*/|\*\*|\*|\?|\{([A-Za-z_][A-Za-z0-9_]*)\}|[^*?{]+|.", re.DOTALL)
_NUMERIC: Final = re.compile(r"\{(?:year|quarter|week)\}")
_ADJACENT: Final = re.compile(r"[*}][*{]|\*\?|\?\*")


class PathRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the files whose path fits.

    ``path`` is a pattern for the whole path below the library: ``*`` and ``?`` stop at a slash, ``**`` does not, and
    ``{field}`` is ``*`` whose text becomes that field; year, quarter and week take digits alone.  A pattern without a
    slash is for the name alone, one that ends in a slash for everything below.
    """

    path: Annotated[str, Meta(min_length=1, max_length=1_000, description="Pattern of the path.")]
    fields: Annotated[
        dict[str, str | int | float | tuple[str, ...]], Meta(description="Fields of the files whose path fits.")
    ] = msgspec.field(name="set", default_factory=dict)

    def __post_init__(self) -> None:
        expression = compiled(self.path)
        if not self.fields and not expression.groupindex:
            raise ValueError(f"the rule for {self.path!r} sets nothing: give it a {{field}} or a table 'set'")
        for field, value in self.fields.items():
            _check_name(field)
            if field in SEARCHABLE:
                searchable_value(f"the rule for {self.path!r}", field, value)


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files are described: the table ``[metadata]`` of the settings."""

    rules: Annotated[
        Annotated[tuple[PathRule, ...], Meta(max_length=RULES_MAX)],
        Meta(description="Fields by path, as tables `[[metadata.rules]]`; of those that fit, a later one wins."),
    ] = ()
    searchable: Annotated[
        Annotated[tuple[str, ...], Meta(max_length=KEYS_MAX - OWN_KEYS)],
        Meta(description="Further fields that go with the document, besides the usual; it takes 20, 3 are ours."),
    ] = ()
    front_matter: Annotated[bool, Meta(description="Read the YAML front matter of texts.")] = True
    sidecars: Annotated[bool, Meta(description="Read `NAME.meta.json` beside a file, and do not index it.")] = True
    header: Annotated[
        Annotated[str, Meta(max_length=HEADER_TEMPLATE_CHARS_MAX)],
        Meta(description="Text before plain text and Markdown that is sent, with `{title}`, `{path}` and fields."),
    ] = ""

    def __post_init__(self) -> None:
        for field in self.searchable:
            _check_name(field)


DEFAULT_RULES: Final = Rules()
"""Front matter and sidecars, and nothing by path."""


class Description(NamedTuple):
    """What is said of a file.

    ``basis`` says what it was made from besides the bytes, empty for nothing.  ``payload_sha256`` is of the header and
    the bytes together, empty without a header.
    """

    metadata: Mapping[str, Value] = {}
    archive: Mapping[str, Any] = {}
    basis: str = ""
    header: str = ""
    payload_sha256: str = ""

    @property
    def metadata_hash(self) -> str:
        """As in the record."""
        return metadata_hash(self.metadata)


NOTHING: Final = Description()


class Describer:
    """The rules, compiled."""

    def __init__(self, rules: Rules = DEFAULT_RULES) -> None:
        self.rules = rules
        self._paths = [(compiled(rule.path), rule.fields) for rule in rules.rules]
        self._searchable = frozenset(SEARCHABLE) | set(rules.searchable)
        plain = rules.front_matter and not rules.searchable
        self._settings = "" if plain else msgspec.json.encode((rules.front_matter, sorted(rules.searchable))).decode()

    def basis(self, path: LibraryPath, sidecar: Sidecar | None) -> str:
        """What the description of that file is made from besides its bytes, short; another one must be read again."""
        fields = self._of_path(path) if self._paths else None
        if not (fields or self._settings or sidecar):
            return ""
        text = msgspec.json.encode((self._settings, fields or None, sidecar), order="sorted")
        return hashlib.sha256(text).hexdigest()[:16]

    def describe(
        self, path: LibraryPath, head: bytes, *, prose: bool, sidecar_text: bytes | None
    ) -> tuple[dict[str, Value], dict[str, Any]]:
        """Metadata and archive, given the first bytes of the file.  Raises `BadMetadata`."""
        fields: dict[str, tuple[str, Any]] = {}

        def add(where: str, found: Mapping[str, Any]) -> None:
            for field, value in found.items():
                if value is not None:
                    fields[field] = (where, value)
                else:
                    fields.pop(field, None)  # null takes back what an earlier source said.

        add("the rules for its path", self._of_path(path))
        if prose and self.rules.front_matter:
            add("front matter", sources.front_matter(head))
        if sidecar_text is not None:
            where = path.rpartition("/")[2] + sources.SIDECAR_SUFFIX.decode()
            add(where, sources.sidecar(sidecar_text, where))
        metadata: dict[str, Value] = {}
        archive: dict[str, Any] = {}
        for field, (where, value) in fields.items():
            if field in self._searchable:
                metadata[field] = searchable_value(where, field, value)
            else:
                archive[field] = value
        if len(metadata) > KEYS_MAX - OWN_KEYS:
            last = list(metadata)[KEYS_MAX - OWN_KEYS]
            why = f"is one searchable field too many: the service takes {KEYS_MAX}, {OWN_KEYS} of them are ours"
            raise BadMetadata(fields[last][0], last, why)
        return metadata, archive

    def header(self, path: LibraryPath, fields: Mapping[str, Any]) -> str:
        """The text to send before the file's own, empty for none.

        A line of the template that has placeholders and a value for none of them is left out.
        """
        if not self.rules.header:
            return ""
        name = path.rpartition("/")[2]
        known = {"title": name.rpartition(".")[0] or name, **fields, "path": path, "name": name}
        lines = []
        for line in self.rules.header.splitlines():
            wanted = _PLACEHOLDER.findall(line)
            if not wanted or any(_shown(known.get(field)) for field in wanted):
                lines.append(_PLACEHOLDER.sub(lambda match: _shown(known.get(match[1])), line).rstrip())
        return "\n".join(lines).strip() + "\n\n" if any(lines) else ""

    def _of_path(self, path: LibraryPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for expression, fields in self._paths:
            match = expression.fullmatch(path)
            if match is not None:
                found |= {field: int(text) if field in _NUMBERS else text for field, text in match.groupdict().items()}
                found |= fields
        return found


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern of a `PathRule` as an expression for the whole path.  Raises `ValueError`."""
    text = pattern.removeprefix("/")
    if text.endswith("/"):
        text += "**"
    if "/" not in text:
        text = "**/" + text
    parts = []
    for part in text.split("/"):
        if part != "**" and (part.count("*") + part.count("{") > WILDCARDS_MAX or "**" in part):
            raise ValueError(
                f"the pattern {pattern!r}: at most {WILDCARDS_MAX} of * and {{field}} between two slashes, and ** alone"
            )
    if text.count("**") > WILDCARDS_MAX or _ADJACENT.search(_NUMERIC.sub("0", text.replace("**", ""))):
        raise ValueError(f"the pattern {pattern!r}: too many ** or wildcards with nothing between them")
    for token in _TOKEN.finditer(text):
        match token[0], token[1]:
            case _, str(field):
                _check_name(field)
                parts.append(f"(?P<{field}>{'[0-9]{1,9}' if field in _NUMBERS else '[^/]+'})")
            case "**/", _:
                parts.append("(?:.*/)?")
            case "**", _:
                parts.append(".*")
            case "*", _:
                parts.append("[^/]*")
            case "?", _:
                parts.append("[^/]")
            case "{", _:
                raise ValueError(f"the pattern {pattern!r}: a {{ that begins no {{field}}")
            case literal, _:
                parts.append(re.escape(literal))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r}: {error}") from None


def searchable_value(where: str, field: str, value: Any) -> Value:
    """The value as it goes with the document.  Raises `BadMetadata`."""
    if field == "quality_score" and isinstance(value, str):
        score = QUALITY.get(value.strip().lower())
        if score is None:
            raise BadMetadata(where, field, f"must be a number or one of {', '.join(QUALITY)}")
        return score
    if field == "topics" and isinstance(value, str):
        value = [value]
    match value:
        case bool():
            raise BadMetadata(where, field, "is true or false; put it into quotes to send it as text")
        case int() | float():
            return value
        case str():
            return _text(where, field, value)
        case list() | tuple():
            return _texts(where, field, value)
    raise BadMetadata(where, field, "must be text, a number or a list of texts to be searchable")


def _text(where: str, field: str, value: str) -> str:
    if not value.strip():
        raise BadMetadata(where, field, "is empty")
    chars = len(field) + len(value)
    if chars > KEY_AND_VALUE_CHARS_MAX:
        why = f"has {chars:,} characters with its name, the service takes {KEY_AND_VALUE_CHARS_MAX}"
        raise BadMetadata(where, field, why)
    return value


def _texts(where: str, field: str, values: list[Any] | tuple[Any, ...]) -> tuple[str, ...]:
    if not values:
        raise BadMetadata(where, field, "is an empty list")
    if len(values) > LIST_ITEMS_MAX:
        raise BadMetadata(where, field, f"has {len(values):,} items, the service takes {LIST_ITEMS_MAX}")
    texts = []
    for number, value in enumerate(values, 1):
        if isinstance(value, bool | list | dict) or value is None:
            raise BadMetadata(where, field, f"item {number} is not text")
        text = _text(where, field, str(value))
        if len(text) > LIST_ITEM_CHARS_MAX:
            why = f"item {number} has {len(text):,} characters, the service takes {LIST_ITEM_CHARS_MAX}"
            raise BadMetadata(where, field, why)
        texts.append(text)
    return tuple(texts)


def _check_name(field: str) -> None:
    """Raises `ValueError` unless a field may have this name."""
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field!r} is no name of a field: letters, digits, _ and -, no digit first")
    if field.startswith(_OURS):
        raise ValueError(f"{field!r}: names that begin with {_OURS} are this program's")


def _shown(value: Any) -> str:
    """A field's value in a header: one line, not too long; nothing for what is no plain value."""
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value if isinstance(item, str | int | float))
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    return " ".join(str(value).split())[:HEADER_VALUE_CHARS_MAX]
