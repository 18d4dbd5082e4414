"""Deterministic simulation: the real engine, the real SDK and the real emulator in one process, in virtual time."""
