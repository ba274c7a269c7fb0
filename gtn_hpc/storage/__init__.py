"""HDF5 files with provenance: whole or not there at all, checksummed, open to every HDF5 and netCDF-4 reader."""

from gtn_hpc.storage.column import Column, Schema
from gtn_hpc.storage.reading import StoredFile, open_file, read, read_arrays
from gtn_hpc.storage.writing import Writer, create, write

__all__ = [
    "Column",
    "Schema",
    "StoredFile",
    "Writer",
    "create",
    "open_file",
    "read",
    "read_arrays",
    "write",
]
