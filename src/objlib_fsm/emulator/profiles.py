"""Ready-made settings.

``measured`` is what an earlier uploader measured in February 2026, over 1,749 text files of 112 MB:

- *request*: a document is answered in 0.24 s (P50 of 13), a page of a listing in 0.5 s.
- *upload*: about 2 s.  *answer*: a search takes 4 to 5 s.
- *index*: an import's operation takes 1 to 30 s; a few seconds for small files, "5-30 s for larger ones".
- *listing*: a document is listed 1.4 to 2.3 s after its import (20 files).
- *search*: it is found 4.7 to 10.1 s after its operation is done (19 of 20 files; a second run had one of 44 s).
- *create_failed_share*: 1.9 % of 792 uploads to 5 % of 947 met "Failed to create file."; 36 of 38, then 37 of 38
  succeeded when tried again.
- *unavailable_share*: 12 of 1,749 files met a 500 or 503 (0.7 %), and all succeeded when tried again.
- *operation_never_done_share*: some operations were never seen done although their document was ACTIVE.  How many is
  not known (the earlier program asked only once); half a percent is an assumption.

An expired raw file is answered 403, which is the emulator's way under any settings.  No 429 was ever seen, at two to
ten calls at once.
"""

from __future__ import annotations

from typing import Final

from objlib_fsm.emulator.settings import Latencies, Latency, Settings

MEASURED: Final = Settings(
    latencies=Latencies(
        request=Latency(0.24, 0.5),
        upload=Latency(1.5, 2.5),
        answer=Latency(4.0, 5.0),
        index=Latency(1.0, 30.0),
        listing=Latency(1.4, 2.3),
        search=Latency(4.7, 10.1),
    ),
    create_failed_share=0.035,
    unavailable_share=0.007,
    operation_never_done_share=0.005,
)
"""How the service was really seen to behave; the sources of its figures are above."""

PROFILES: Final[dict[str, Settings]] = {"instant": Settings(), "measured": MEASURED}
"""By the name that ``objlib-fsm emulator --profile`` takes.  ``instant`` is the default: a service that never fails and
needs no time."""
