"""Which versions of a job's files are the newest."""

from __future__ import annotations

import os
from pathlib import Path

from apsam.store.prune import needed
from apsam.store.recipe import write_recipe


def test_the_newest_version_is_the_one_that_was_made_last_whatever_the_dates_of_its_files(tmp_path: Path) -> None:
    store = tmp_path / "results/store"
    for key, ended, date in (("a" * 12, "2026-01-01", 2e9), ("b" * 12, "2026-06-01", 1e9)):
        folder = store / f"cams/valley.{key}"
        folder.mkdir(parents=True)
        write_recipe(folder, {"view": "cams"}, [], {"ended": f"{ended}T00:00:00+00:00"})
        os.utime(folder / "recipe.json", (date, date))
    (store / f"cams/valley.{'c' * 12}").mkdir()  # of a job that did not end
    assert needed(store, 1) == {store / f"cams/valley.{'b' * 12}"}
