"""The commands: a module or package each, run as ``python -m studies.NAME``."""
