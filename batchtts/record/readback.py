"""results.parquet for those who make something of it; what is wrong is told in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.errors import UsageError
from batchtts.record.store import Layout


@contextmanager
def opened(out: Path) -> Iterator[pq.ParquetFile]:
    """Have the results of an output directory open; what is read in the block is checked.

    Raises:
        UsageError: there are none, or they cannot be read.
    """
    path = Layout(out).results
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError as error:
        told = "no results.parquet in it" if out.is_dir() else "no such directory"
        hint = "`batchtts run MANIFEST` writes it when it ends"
        raise UsageError(f"{out}: {told}", hint=hint) from error
    except NotADirectoryError as error:
        raise UsageError(f"{out}: not a directory that `batchtts run` made") from error
    except (OSError, pa.ArrowException) as error:
        why = (
            error.strerror.lower() if isinstance(error, OSError) and error.strerror else f"{error}"
        )
        told = why.partition("\n")[0]
        hint = "`batchtts check` says what is damaged; a run writes it anew"
        raise UsageError(f"{path}: cannot be read: {told}", hint=hint) from error


def require(out: Path, file: pq.ParquetFile, names: list[str]) -> None:
    """Refuse results that lack a column without which they are none.

    Raises:
        UsageError: one of *names* is not in them.
    """
    lacking = [name for name in names if name not in file.schema_arrow.names]
    if lacking:
        told = f'no column "{lacking[0]}": not a file that `batchtts run` wrote'
        raise UsageError(f"{Layout(out).results}: {told}")
