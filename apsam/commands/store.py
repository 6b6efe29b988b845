"""Commands that list the store of all runs, remove unused files, and find changed files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

store_app = typer.Typer(no_args_is_help=True, help="The store: every file that the workflow made, of all runs.")

Store = Annotated[Path, typer.Option(help="folder of the store")]
STORE = Path("results/store")


@store_app.command("list")
def list_store(store: Store = STORE) -> None:
    """List the size of the store by stage, and the views that use it."""
    from rich.console import Console
    from rich.table import Table

    from apsam.store.prune import folders_of_view, size_of, views
    from apsam.store.verify import job_folders

    root = _existing(store)
    shown = {view.name: folders_of_view(view, root) for view in views(root.parent)}
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "jobs", "MB", "unused", "MB", "views"):
        table.add_column(column, justify="left" if column in ("stage", "views") else "right", overflow="fold")
    stages: dict[str, list[Path]] = {}
    for folder in job_folders(root):
        stages.setdefault(folder.parent.relative_to(root).as_posix(), []).append(folder)
    total = 0
    for stage, folders in stages.items():
        sizes = {folder: size_of(folder) for folder in folders}
        loose = [folder for folder in folders if not any(folder in used for used in shown.values())]
        runs = [run for run, used in shown.items() if used & set(folders)]
        total += sum(sizes.values())
        table.add_row(
            stage, str(len(folders)), _mb(sum(sizes.values())), str(len(loose)), _mb(sum(sizes[f] for f in loose)),
            ", ".join(runs),
        )  # fmt: skip
    Console().print(table if stages else "The store is empty.")
    print(f"{total / 1e6:.1f} MB in {root}. Remove unused files: apsam store prune")


@store_app.command()
def prune(
    newest: Annotated[
        int, typer.Option(min=0, help="number of newest versions of each file to keep, in addition to those in views")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="only print what would be removed")] = False,
    store: Store = STORE,
) -> None:
    """Remove files that are neither used by a view nor among the newest versions; refused while a workflow runs."""
    from apsam.store.lock import take_lock
    from apsam.store.prune import needed, remove, size_of
    from apsam.store.verify import job_folders

    root = _existing(store)
    lock = take_lock(root)
    try:
        kept = needed(root, newest)
        gone = [folder for folder in job_folders(root) if folder not in kept]
        size = sum(size_of(folder) for folder in gone)
        if not dry_run:
            remove(gone)
    finally:
        lock.release()
    verb = "would be removed" if dry_run else "removed"
    print(f"{len(gone)} jobs' files {verb}, {size / 1e6:.1f} MB; {len(kept)} kept")


@store_app.command()
def verify(store: Store = STORE) -> None:
    """Compare every file with the checksum recorded when it was made; list those that differ."""
    from apsam.store.verify import verify as compare

    root, jobs, wrong = _existing(store), 0, 0
    for _, findings in compare(root):
        jobs += 1
        for finding in findings:
            wrong += finding.state != "not there"
            print(f"{finding.file}: {finding.state}")
    print(f"{jobs} jobs' files compared, {wrong} files have changed since they were made")
    if wrong:
        raise typer.Exit(1)


def _existing(store: Path) -> Path:
    from apsam.errors import InputError

    if not store.is_dir():
        raise InputError(f"{store}: no such folder; run from the project's folder, or name the store with --store")
    return store.absolute()


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"
