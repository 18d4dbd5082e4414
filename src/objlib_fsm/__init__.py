"""Index a library of local files in a Gemini File Search store, reliably, and be able to prove it."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
