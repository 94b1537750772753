"""Regular expressions of strangers, tried in a process of its own before a library uses them: some never end.

Knows patterns and texts; not what is chosen by them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 5
"""Processor time for all patterns and texts together."""
_MOST_MEMORY = 1 << 30
_TRY = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MOST_MEMORY}, {_MOST_MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
patterns, texts = json.load(sys.stdin)
for number, pattern in enumerate(patterns):
    print(number, flush=True)
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        continue
    for text in texts:
        compiled.match(text), compiled.fullmatch(text)
print("done")
"""


def may_be_endless(pattern: str) -> bool:
    """Whether a pattern holds a sign of repetition without end; most are plain names."""
    return any(sign in pattern for sign in "*+{")


def endless_pattern(patterns: Sequence[str], texts: Sequence[str]) -> str | None:
    """The first pattern that cannot be matched against all the texts in `SECONDS` or a gigabyte; None if all can.

    What is no regular expression is left to whoever uses it.
    """
    if not patterns:
        return None
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _TRY],
        input=json.dumps([list(patterns), list(texts)]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )
    *_, last = ["0", *done.stdout.split()]
    return None if last == "done" else patterns[int(last)]
