"""A Parquet file that is written a batch at a time and appears whole, durably."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.record import disk


class Table:
    """A Parquet file that comes to be out of sight and appears whole."""

    def __init__(self, path: Path, scratch: Path, schema: pa.Schema) -> None:
        self._path = path
        self._scratch = scratch / path.name
        self._schema = schema
        self._descriptor = disk.create(self._scratch)
        self._sink = disk.Sink(self._descriptor)
        self._writer = pq.ParquetWriter(
            self._sink, schema, compression="zstd", write_page_checksum=True
        )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        try:
            self._writer.close()
            self._sink.flush()
            disk.sync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def add(self, columns: list[pa.Array | pa.ChunkedArray]) -> None:
        """Add a batch of rows, columns in the schema's order."""
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def seal(self, seal: bytes) -> None:
        """Note in the file's metadata what it was made from."""
        self._writer.add_key_value_metadata({"batchtts": seal})

    def publish(self) -> None:
        """Give the finished file its name, durably."""
        disk.rename(self._scratch, self._path)
        disk.sync_directory(self._path.parent)

    def remove(self) -> None:
        """Let there be no such file, nor an older one."""
        disk.remove(self._scratch)
        disk.remove(self._path)
