"""Reading `scores.h5` for analysis: a DataFrame a table, columns read when they are asked for.

pandas and pyarrow are imported on first use: who only appends to journals need not wait for them.
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gtn_hpc import storage
from gtn_hpc.core.errors import StorageError, nearest
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.schema import DESCRIPTIONS, SCHEMA, TABLES, upgrade_names
from gtn_hpc.scores.tables import Columns, conform
from gtn_hpc.storage import StoredFile

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1 << 16
"""Rows of a piece where a table is read piece by piece: several chunks of every column."""


class ScoreTables:
    """An open file; each table is read on first use and kept. Units and descriptions, from the attributes of the file's
    columns, are in `DataFrame.attrs`.

    It stays what it was when opened, while the run goes on and folds again.
    """

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self.path = file.path
        self.config = file.config
        self.environment = file.environment
        self.attributes = dict(file.attributes)
        self._described_columns: dict[str, dict[str, tuple[str, str]]] = {}

    @functools.cached_property
    def scores(self) -> "pd.DataFrame":
        """One row an architecture, fidelity and replica, sorted by key."""
        return self.read("scores")

    @functools.cached_property
    def architectures(self) -> "pd.DataFrame":
        return self.read("architectures")

    @functools.cached_property
    def curves(self) -> "pd.DataFrame":
        """Accuracy after chosen steps: `table` and `key` say of which row."""
        return self.read("curves")

    @functools.cached_property
    def final(self) -> "pd.DataFrame":
        return self.read("final")

    @functools.cached_property
    def certificate(self) -> "pd.DataFrame":
        return self.read("certificate")

    @functools.cached_property
    def asks(self) -> "pd.DataFrame":
        return self.read("asks")

    @functools.cached_property
    def tells(self) -> "pd.DataFrame":
        return self.read("tells")

    @functools.cached_property
    def failures(self) -> "pd.DataFrame":
        """Ends of tracebacks: `table` and `key` say of which row."""
        return self.read("failures")

    @functools.cached_property
    def conflicts(self) -> "pd.DataFrame":
        """Values that a second evaluation gave and that differ from the kept ones."""
        return self.read("conflicts")

    def read(self, table: str, columns: Iterable[str] | None = None, rows: slice | None = None) -> "pd.DataFrame":
        """Some columns, some rows; cost: what is read of them. Text is `str`, missing numbers are NaN or -1.

        Raises:
            StorageError: there is no such table or column, or the file is damaged.
        """
        import pandas as pd

        _require_known(table)
        values = self.raw(table, columns, rows)
        names = [*(name for name in TABLES[table].columns if name in values), *values]
        frame = pd.DataFrame({name: _series(values[name]) for name in dict.fromkeys(names)})
        described = self._described(table)
        told = {name: described.get(name, DESCRIPTIONS.get(name, ("1", name))) for name in values}
        frame.attrs["units"] = {name: unit for name, (unit, _) in told.items() if unit}
        frame.attrs["descriptions"] = {name: text for name, (_, text) in told.items()}
        return frame

    def _described(self, table: str) -> dict[str, tuple[str, str]]:
        """Unit and description of the columns that say what they are in the file."""
        if table not in self._described_columns:
            stored = self._file.columns(table) if table in self._file.groups else {}
            self._described_columns[table] = {
                name: (told.get("units", ""), told["description"])
                for name, told in stored.items()
                if "description" in told
            }
        return self._described_columns[table]

    def raw(self, table: str, columns: Iterable[str] | None = None, rows: slice | None = None) -> Columns:
        """As `read`, but arrays by column, text as UTF-8 bytes of one width."""
        _require_known(table)
        if self._file.schema.version == SCHEMA.version and table in self._file.groups:
            return self._file.read(table, columns, rows, raw_strings=True)
        return self._upgraded(table, columns, rows)

    def rows(self, table: str) -> int:
        """How many the table has; nothing of it is read."""
        _require_known(table)
        return self._file.rows(table) if table in self._file.groups else 0

    def origins(self) -> Columns:
        """What the rows of a merged file were scored with, by column; nothing where the file is a run's."""
        return self._file.read("origins", raw_strings=True) if "origins" in self._file.groups else {}

    def blocks(self, table: str) -> Iterator["pd.DataFrame"]:
        """The table piece by piece, in order: memory for one piece, however many rows there are."""
        for part in self.parts(table):
            yield self.read(table, rows=part)

    def parts(self, table: str) -> Iterator[slice]:
        """The rows of each piece that `blocks` reads."""
        yield from (slice(start, start + BLOCK) for start in range(0, self.rows(table), BLOCK))

    def _upgraded(self, table: str, columns: Iterable[str] | None, rows: slice | None) -> Columns:
        """A table of an older version, or one that such a file does not have."""
        values = self._file.read(table, rows=rows, raw_strings=True) if table in self._file.groups else {}
        length = max(map(len, values.values()), default=0)
        whole = conform(TABLES[table], upgrade_names(table, self._file.schema.version, values), length)
        return {name: whole[name] for name in (columns or whole)}

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require_known(table: str) -> None:
    if table not in TABLES:
        raise StorageError(f"There is no table '{table}'.", remedy=nearest(table, TABLES))


def _series(values: Any) -> Any:
    """UTF-8 bytes of one width as `str`, through Arrow's layout: no Python object is made for a value."""
    import pyarrow as pa

    if values.dtype.kind != "S":
        return values
    lengths = np.strings.str_len(values)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    width = values.dtype.itemsize
    grid = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
    text = grid[np.arange(width) < lengths[:, None]]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers).to_pandas()


def open(path: Path | str) -> ScoreTables:
    """Opens a scores file, or that of a run directory, for analysis. Errors: StorageError, with the remedy."""
    path = Path(path)
    if path.is_dir():
        run = RunDirectory(path)
        path = run.scores
        if not path.is_file() and run.journal.is_dir():
            raise StorageError(
                f"There is no {path} yet, only journals.",
                remedy=f"Fold them: gtn scores show {path.parent}",
            )
    if not path.exists():
        of_run = RunDirectory(path.parent).config.is_file()
        raise StorageError(
            f"There is no file {path}.",
            remedy="Nothing is scored yet: gtn search CONFIG"
            if of_run
            else "Look at the path; gtn search, gtn final and gtn scores merge write such files.",
        )
    return ScoreTables(storage.open_file(path, SCHEMA))
