"""The process in which `studies.bench` measures: it does what standard input asks, and leaves answers in files."""

import json
import sys
from pathlib import Path

from glomfeat.core.plugins import resolve


def main():
    """Call each function of a JSON list of ``function``, ``folder`` and ``arguments``, one after the other."""
    for job in json.load(sys.stdin):
        folder = Path(job["folder"])
        try:
            answer = resolve(job["function"], {}, "side")(folder, **job["arguments"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
