"""Rows that were computed elsewhere: their names, and reading some of them at a time."""

from glomfeat.data.embeddings.files import digest_files, files_of, stamps_of
from glomfeat.data.embeddings.named import find_rows
from glomfeat.data.embeddings.read import column_naming, names_of, open_rows

__all__ = ["column_naming", "digest_files", "files_of", "find_rows", "names_of", "open_rows", "stamps_of"]
