"""The same examples on every machine: what is found here can be found again."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
