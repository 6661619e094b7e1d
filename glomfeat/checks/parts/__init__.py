"""Contract tests for parts, the library's and anybody's, that say in words what is wrong."""

from glomfeat.checks.parts.parts import KINDS, Part, find_part, names_of
from glomfeat.checks.parts.run import check_part

__all__ = ["KINDS", "Part", "check_part", "find_part", "names_of"]
