"""Helpers for commands, configs, runs and sweeps."""
