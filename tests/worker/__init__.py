"""Tests of `jobyard worker`: real processes, a real Valkey."""
