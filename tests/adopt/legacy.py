"""The earlier tool's database, made from its schema, and the service as that tool left it."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import urllib.request
from typing import Any, NamedTuple

from google import genai
from google.genai import types

from tests.adopt.schema import SCHEMA_12
from tests.support.command import Place

OLD_ROOT = "/Volumes/U32 Shadow/Objectivism Library"
STORE_NAME = "objectivism-library"
KEY = "some-key"


class Made(NamedTuple):
    """A document of the earlier tool: its raw file, its id, its full name."""

    raw: str
    suffix: str
    name: str


class Legacy:
    """A library that the earlier tool has indexed: files on disk, its database, and the emulator."""

    def __init__(self, place: Place, url: str) -> None:
        self.place = place
        self.url = url
        self.path = place.folder / "library.db"
        self.client = genai.Client(
            api_key=KEY,
            http_options=types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1)),
        )
        stores = self.client.file_search_stores
        self.store = str(stores.create(config={"display_name": STORE_NAME}).name)
        self.db = sqlite3.connect(self.path)
        self.db.executescript("PRAGMA journal_mode = WAL;" + SCHEMA_12)
        self.config(gemini_store_name=self.store, gemini_store_display_name=STORE_NAME)

    def config(self, **values: str) -> None:
        """The tool's settings."""
        self.db.executemany("INSERT OR REPLACE INTO library_config VALUES (?, ?)", values.items())
        self.db.commit()

    def write(self, name: str, text: str = "") -> str:
        """A file of the library; its content hash."""
        path = self.place.write(name, text or f"What {name} says of the moon.\n")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def row(self, name: str, *, on_disk: bool = True, **columns: Any) -> None:
        """A row of the database, and the file on disk."""
        if on_disk:
            content_hash = self.write(name)
        else:
            content_hash = hashlib.sha256(name.encode()).hexdigest()
        path = self.place.library / name
        values = {
            "file_path": f"{OLD_ROOT}/{name}",
            "content_hash": content_hash,
            "filename": name.rpartition("/")[2],
            "file_size": path.stat().st_size if on_disk else 10,
            "mtime": path.stat().st_mtime if on_disk else 1.5,
            "metadata_quality": "complete",
            "upload_timestamp": "2099-01-01T00:00:00+00:00",
            "ai_metadata_status": "approved",
            **columns,
        }
        marks = ", ".join("?" * len(values))
        self.db.execute(f"INSERT INTO files ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        self.db.commit()

    def operation(self, name: str, operation: str, state: str = "in_progress") -> None:
        """An import that the tool was waiting for."""
        self.db.execute(
            "INSERT INTO upload_operations (operation_name, file_path, operation_state, created_at) "
            "VALUES (?, ?, ?, '2026-02-17 03:56:47')",
            (operation, f"{OLD_ROOT}/{name}", state),
        )
        self.db.commit()

    def upload(self, name: str) -> str:
        """A raw file as the tool sent it, with its header before the text; its id without ``files/``."""
        payload = io.BytesIO(f"Title: {name}\n[AI Analysis]\nWhat {name} says of the moon.\n".encode())
        made = self.client.files.upload(file=payload, config={"mime_type": "text/plain", "display_name": name})
        return str(made.name).removeprefix("files/")

    def import_raw(self, raw: str) -> str:
        """An import of it; the operation's name."""
        operation = self.client.file_search_stores.import_file(
            file_search_store_name=self.store, file_name=f"files/{raw}"
        )
        return str(operation.name)

    def document(self, name: str, mode: str = "") -> Made:
        """A document of the file, ACTIVE unless *mode* is another fate."""
        if mode:
            self.fault({"fault": "F15", "mode": mode, "endpoint": "stores.import", "count": 1})
        raw = self.upload(name)
        self.import_raw(raw)
        return self.documents(raw)[-1]

    def documents(self, raw: str = "") -> list[Made]:
        """The documents of the store, or those of one raw file."""
        listed = self.client.file_search_stores.documents.list(parent=self.store)
        found = [(str(document.display_name), str(document.name)) for document in listed]
        return [Made(title, name.rpartition("/")[2], name) for title, name in found if not raw or title == raw]

    def fault(self, rule: dict[str, Any]) -> None:
        """The service misbehaves."""
        self._post("faults", rule)

    def behave(self) -> None:
        """The service misbehaves no more."""
        request = urllib.request.Request(f"{self.url}/_emulator/faults", method="DELETE")
        urllib.request.urlopen(request).close()

    def pass_time(self, seconds: float) -> None:
        """The service's clock goes on."""
        self._post("clock", {"advance_s": seconds})

    def requests(self) -> dict[str, int]:
        """How often each endpoint was called."""
        with urllib.request.urlopen(f"{self.url}/_emulator/state") as reply:
            return dict(json.load(reply)["requests"])

    def _post(self, what: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{self.url}/_emulator/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request).close()

    def options(self) -> list[str]:
        """Where the commands find the service."""
        return ["--endpoint", self.url, "--tier", "tier3"]

    def adopt(self, *more: str) -> dict[str, Any]:
        """Adopt the database; the report."""
        done = self.place.ok(
            "adopt", self.path, "--root", self.place.library, "--json", *self.options(), *more, GEMINI_API_KEY=KEY
        )
        return dict(done.json)

    def run(self) -> dict[str, Any]:
        """A run; its summary."""
        return dict(self.place.run("run", "--yes", "--json", *self.options(), GEMINI_API_KEY=KEY).lines[-1])
