"""Layers of the code import only lower layers, and there are no circular imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp

PROJECT = Path(__file__).parents[1]


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Sets of modules with circular imports."""
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    found = []
    for module in sorted(imports):
        if any(module in circle for circle in found):
            continue
        if module in _reached(imports, module):
            found.append({other for other in _reached(imports, module) if module in _reached(imports, other)})
    return found


def _reached(imports: dict[str, set[str]], module: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(imports[module])
    while waiting:
        if (other := waiting.pop()) not in reached:
            reached.add(other)
            waiting += imports[other]
    return reached


def test_there_are_no_circular_imports() -> None:
    graph = grimp.build_graph("apsam", "workflow_support", exclude_type_checking_imports=True, cache_dir=None)
    assert circles(graph) == []


def test_circular_import_is_detected() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [{"b", "c"}]


def test_layers_import_only_lower_layers() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
