"""Content hash of the code that a script uses, so that a workflow re-runs only the jobs that a change affects.

The hash covers the script and every top-level definition of this package that it reaches, found by reading
the source (nothing is imported or run): the names a piece of code uses, where they are defined or imported
from, and what those use in turn. Comments, docstrings, descriptions of settings and layout are excluded. Statements
that a module runs on import always count, and a whole module counts if it is used other than as
`module.name`. Third-party packages count by name only: their versions are in the recipe of each file, not in its key
(docs/architecture.md).
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parent
DIGITS = 12

# A file and the name of one of its top-level definitions, or one of the two below.
Node = tuple[Path, str]
ON_IMPORT, WHOLE = "<on import>", "<whole>"

# Fields of a syntax tree that are not syntax.
UNSAID = {"ctx", "kind", "type_comment"}


def code_hash(script: Path | str, package_root: Path = PACKAGE_ROOT, definition: str | None = None) -> str:
    """Hash a script, or one definition in it, together with all it uses of the package.

    Args:
        script: A Python file, inside the package or not.
        package_root: The package's folder; its name is the name the package is imported by.
        definition: A top-level name of the file; the whole file by default.

    Returns:
        `DIGITS` hex digits, which do not depend on the folder of the project.
    """
    root = Path(package_root).resolve()
    seen = _reach(Path(script).resolve(), root, definition)
    lines = sorted(f"{_label(path, root)}:{name}:{text}" for (path, name), text in seen.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGITS]


def code_files(script: Path | str, package_root: Path = PACKAGE_ROOT, definition: str | None = None) -> list[Path]:
    """Return the files that contribute to `code_hash`: the script, or one definition in it, and all it uses."""
    root = Path(package_root).resolve()
    return sorted({path for path, _ in _reach(Path(script).resolve(), root, definition)})


def _reach(script: Path, root: Path, definition: str | None) -> dict[Node, str]:
    """Return everything of the package that a script uses, each with its canonical text."""
    todo: list[Node] = [(script, definition or WHOLE)]
    seen: dict[Node, str] = {}
    while todo:
        node = todo.pop()
        if node not in seen:
            seen[node], uses = _read(node[0], root).look_up(node[1])
            todo += uses
    return seen


class _Bindings:
    """Names that import statements bind to something of the package."""

    def __init__(self, like: _Bindings | None = None) -> None:
        self.names: dict[str, Node] = dict(like.names) if like else {}
        self.modules: dict[str, Path] = dict(like.modules) if like else {}
        self.run: list[Node] = list(like.run) if like else []


class _Source:
    """One source file: its top-level definitions, its imports and the statements run on import."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.on_import: list[ast.stmt] = []
        self.bindings = _Bindings()
        self._known: dict[str, tuple[str, list[Node]]] = {}
        for statement in _without_documentation(ast.parse(path.read_text(), str(path))).body:
            self._sort_in(statement)

    def look_up(self, name: str) -> tuple[str, list[Node]]:
        """Return the canonical text of a node of this file, and the nodes it refers to."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> tuple[str, list[Node]]:
        if name == ON_IMPORT:
            statements = self.on_import
        elif name == WHOLE:
            statements = [*self.on_import, *(s for group in self.definitions.values() for s in group)]
        elif name in self.definitions:
            statements = self.definitions[name]
        elif name in self.bindings.names:
            return "", [self.bindings.names[name]]
        else:
            module = self.bindings.modules.get(name) or _find(f"{self._dotted_name()}.{name}", self.root)
            return "", [(module or self.path, WHOLE)]
        nodes = [node for statement in statements for node in _walk(statement)]
        return _canonical(nodes), self._uses(nodes)

    def _sort_in(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._bind(statement, self.bindings)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self.definitions.setdefault(statement.name, []).append(statement)
                if any(self._is_ours(decorator) for decorator in statement.decorator_list):
                    self.on_import.append(statement)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self.definitions.setdefault(name, []).append(statement)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                pass
            case _:
                self.on_import.append(statement)
                for inner in _imports(statement):
                    self._bind(inner, self.bindings)

    def _is_ours(self, decorator: ast.expr) -> bool:
        """Whether a decorator is from the package: it may register the function in a table."""
        chain = _chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
        return bool(chain) and (
            chain[0] in self.definitions or chain[0] in self.bindings.names or chain[0] in self.bindings.modules
        )

    def _bind(self, statement: ast.Import | ast.ImportFrom, bindings: _Bindings) -> None:
        origin = self._origin(statement) if isinstance(statement, ast.ImportFrom) else ""
        for alias in statement.names:
            file = _find(origin or alias.name, self.root)
            if file is None:
                if bindings is self.bindings:
                    bound = alias.asname or alias.name.partition(".")[0]
                    self.definitions.setdefault(bound, []).append(_one_import(statement, alias))
                continue
            bindings.run += [(path, ON_IMPORT) for path in _with_packages(file, self.root)]
            if not origin:
                self._bind_module(alias, file, bindings)
                continue
            submodule = _find(f"{origin}.{alias.name}", self.root)
            if alias.name == "*":
                bindings.run.append((file, WHOLE))
                bindings.names |= {name: (file, name) for name in _read(file, self.root).definitions}
            elif submodule and (file == self.path or not _read(file, self.root).binds(alias.name)):
                bindings.modules[alias.asname or alias.name] = submodule
                bindings.run.append((submodule, ON_IMPORT))
            else:
                bindings.names[alias.asname or alias.name] = (file, alias.name)

    def _bind_module(self, alias: ast.alias, file: Path, bindings: _Bindings) -> None:
        if alias.asname:
            bindings.modules[alias.asname] = file
            return
        parts = alias.name.split(".")
        for n in range(1, len(parts) + 1):
            bindings.modules[".".join(parts[:n])] = _find(".".join(parts[:n]), self.root) or file

    def binds(self, name: str) -> bool:
        """Whether the top level assigns to `name` something that is not a module."""
        return name in self.definitions or name in self.bindings.names

    def _origin(self, statement: ast.ImportFrom) -> str:
        """Return the absolute dotted name of the module in `from ... import`."""
        if not statement.level:
            return statement.module or ""
        parts = self._dotted_name().split(".")
        above = statement.level - (self.path.name == "__init__.py")
        return ".".join([*parts[: len(parts) - above], *([statement.module] if statement.module else [])])

    def _dotted_name(self) -> str:
        if not self.path.is_relative_to(self.root):
            return ""
        parts = [self.root.name, *self.path.relative_to(self.root).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _uses(self, nodes: list[ast.AST]) -> list[Node]:
        bindings = _Bindings(self.bindings)
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._bind(node, bindings)
        found: list[Node] = [(self.path, ON_IMPORT), *bindings.run]
        resolved: set[int] = set()
        for node in nodes:
            if isinstance(node, ast.Attribute | ast.Name) and id(node) not in resolved:
                found += self._resolve(node, bindings, resolved)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
                # "package.module" in a string is an import by name, as importlib does it.
                file = _find(node.value, self.root)
                if file is not None:
                    found.append((file, WHOLE))
        return found

    def _resolve(self, node: ast.expr, bindings: _Bindings, resolved: set[int]) -> list[Node]:
        """Resolve a name or a chain of attributes; its parts are added to `resolved`."""
        chain = _chain(node)
        for length in range(len(chain), 0, -1):
            module = bindings.modules.get(".".join(chain[:length]))
            if module is not None:
                while isinstance(node, ast.Attribute):
                    node = node.value
                    resolved.add(id(node))
                return [(module, chain[length] if length < len(chain) else WHOLE)]
        if isinstance(node, ast.Name) and node.id in bindings.names:
            return [bindings.names[node.id]]
        if isinstance(node, ast.Name) and node.id in self.definitions:
            return [(self.path, node.id)]
        return []


@cache
def _parsed(path: Path, root: Path, stamp: tuple[int, int]) -> _Source:
    return _Source(path, root)


def _read(path: Path, root: Path) -> _Source:
    """Parse the file; it is parsed again when it changes."""
    stat = path.stat()
    return _parsed(path, root, (stat.st_mtime_ns, stat.st_size))


def _label(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _find(dotted: str, root: Path) -> Path | None:
    """Return the file of a module of the package; None for any other name."""
    parts = dotted.split(".")
    if parts[0] != root.name or not all(part.isidentifier() for part in parts):
        return None
    folder = root.joinpath(*parts[1:])
    files = [folder / "__init__.py", *([folder.with_suffix(".py")] if len(parts) > 1 else [])]
    return next((file for file in files if file.is_file()), None)


def _with_packages(file: Path, root: Path) -> list[Path]:
    """Return `file` and the `__init__.py` of every package around it, which Python runs before it."""
    folders = [folder for folder in file.parents if folder.is_relative_to(root)]
    return [file, *(init for folder in folders if (init := folder / "__init__.py").is_file())]


def _walk(tree: ast.AST) -> list[ast.AST]:
    """Yield all nodes, parents before children; `ast.walk` takes three times as long.

    Only the fields of each node are visited: Python shares nodes of operators between all trees, and other libraries
    set attributes on them, such as a `parent` outside this tree.
    """
    nodes = [tree]
    for node in nodes:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                nodes += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                nodes.append(value)
    return nodes


def _canonical(nodes: list[ast.AST]) -> str:
    """Return the syntax as text, without positions: equal for equal code. `ast.unparse` takes five times as long."""
    parts: list[str] = []
    for node in nodes:
        parts.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if name in UNSAID or value is None or value == []:
                continue
            if isinstance(value, list):
                parts.append(name + "".join("." if isinstance(v, ast.AST) else f"={v!r}" for v in value))
            else:
                parts.append(f"{name}." if isinstance(value, ast.AST) else f"{name}={value!r}")
    return " ".join(parts)


def _imports(tree: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in _walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _one_import(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(statement, ast.Import):
        return ast.Import(names=[alias])
    return ast.ImportFrom(module=statement.module, names=[alias], level=statement.level)


def _chain(node: ast.AST) -> list[str]:
    """Return `a.b.c` as ["a", "b", "c"]; [] for anything except a plain chain of attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _without_documentation(tree: ast.Module) -> ast.Module:
    """Drop docstrings, and the `description=` of settings."""
    for node in _walk(tree):
        if isinstance(node, ast.Call) and _chain(node.func)[-1:] == ["Field"]:
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
