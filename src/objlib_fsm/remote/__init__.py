"""Gemini File Search behind a small protocol."""
