"""What counts of the content of input data."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from given_inputs import SLIDE, layer

from apsam.input_content import content_digest


@pytest.mark.parametrize("changed", [False, True])
def test_a_geopackage_that_is_only_opened_is_the_same(tmp_path: Path, changed: bool) -> None:
    """As by QGIS, which switches the journal of a layer on and off: its bytes differ afterwards."""
    file = layer(tmp_path / "labels.gpkg", SLIDE, checked=[1])
    before, content = content_digest(file), file.read_bytes()
    with closing(sqlite3.connect(file)) as database:
        database.execute("pragma journal_mode=wal")
        assert database.execute("select checked from labels").fetchall() == [(1,)]
        assert content_digest(file) == before, "while it is open"
        if changed:
            database.execute("create table notes (text)")
        database.commit()
        database.execute("pragma journal_mode=delete")
    assert file.read_bytes() != content
    assert (content_digest(file) == before) is not changed
