"""Processes on other machines that load a model once and do task after task: how tasks are shared out, and Ray."""

__all__ = ["cluster", "crew", "task"]
