"""Of the modules that are not tests only those with examples are collected; the others would be imported in vain."""

from pathlib import Path

TESTS = Path(__file__).parent / "tests"


def pytest_ignore_collect(collection_path):
    """Ignore a module without examples."""
    if collection_path.suffix != ".py" or collection_path.is_relative_to(TESTS):
        return None
    return True if b">>>" not in collection_path.read_bytes() else None
