"""The code hash follows what a script uses, through every form of import, and nothing else."""

import ast
import textwrap
from pathlib import Path

import pytest

from apsam.code_hash import code_hash

FILES = {
    "apsam/__init__.py": "__version__ = '1'\n",
    "apsam/files.py": """
        import math
        LIMIT = 3
        def used():
            return helper() + LIMIT + math.pi
        def helper():
            return 1
        def unused():
            return 2
        """,
    "apsam/stage/__init__.py": "from .work import work\n",
    "apsam/stage/work.py": """
        from .. import files
        from apsam.stage.model import Model as Net
        from apsam.stage.table import TABLE
        def work():
            from apsam.stage import late
            return files.used(), Net(), late.late(), TABLE['one']()
        """,
    "apsam/stage/model.py": """
        class Model:
            def __init__(self):
                self.size = width()
        def width():
            return 8
        """,
    "apsam/stage/table.py": """
        TABLE = {}
        def enter(name):
            def add(function):
                TABLE[name] = function
                return function
            return add
        @enter("one")
        def never_named():
            return 'entered'
        """,
    "apsam/stage/late.py": "def late():\n    return 0\n",
    "apsam/stage/effect.py": "print('on import')\n",
    "apsam/other.py": "def other():\n    return 5\n",
    "scripts/stage.py": """
        from apsam.stage import work
        if __name__ == "__main__":
            work()
        """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return tmp_path


def hash_of(project: Path) -> str:
    return code_hash(project / "scripts/stage.py", project / "apsam")


def replace(project: Path, name: str, old: str, new: str) -> None:
    file = project / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("scripts/stage.py", "work()\n", "work(); work()\n"),
        ("apsam/stage/__init__.py", "from .work import work", "from .work import work\nprint(work)"),
        ("apsam/stage/work.py", "Net()", "Net(), 1"),
        ("apsam/files.py", "helper() + LIMIT", "helper() - LIMIT"),
        ("apsam/files.py", "LIMIT = 3", "LIMIT = 4"),
        ("apsam/files.py", "return 1", "return 10"),
        ("apsam/stage/model.py", "width()\n", "width() + 1\n"),
        ("apsam/stage/model.py", "return 8", "return 16"),
        ("apsam/stage/late.py", "return 0", "return 1"),
        ("apsam/__init__.py", "__version__ = '1'", "__version__ = '1'\nprint(__version__)"),
        ("apsam/files.py", "import math", "import cmath as math"),
        ("apsam/stage/table.py", "return 'entered'", "return 'changed'"),
        ("apsam/stage/table.py", "TABLE[name] = function", "TABLE[name.lower()] = function"),
    ],
)
def test_a_change_in_what_is_used_changes_the_hash(project: Path, name: str, old: str, new: str) -> None:
    before = hash_of(project)
    replace(project, name, old, new)
    assert hash_of(project) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("apsam/files.py", "return 2", "return 20"),
        ("apsam/other.py", "return 5", "return 6"),
        ("apsam/files.py", "def used():\n", 'def used():\n    """Now it says what it does."""\n    # why\n'),
        ("apsam/stage/model.py", "class Model:\n", 'class Model:\n    """A model."""\n\n'),
        ("apsam/files.py", "helper() + LIMIT", "(helper()   +  LIMIT)"),
        ("apsam/__init__.py", "'1'", "'2'"),
    ],
)
def test_other_changes_keep_the_hash(project: Path, name: str, old: str, new: str) -> None:
    before = hash_of(project)
    replace(project, name, old, new)
    assert hash_of(project) == before


def test_hash_does_not_depend_on_the_folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = hash_of(project)
    moved = tmp_path_factory.mktemp("elsewhere") / "clone"
    project.rename(moved)
    assert hash_of(moved) == before


@pytest.mark.parametrize(
    "text",
    [
        "import apsam.other\napsam.other.other()\n",
        "import apsam.other as o\no.other()\n",
        "from apsam import other\nother.other()\n",
        "from apsam import other\ngetattr(other, 'oth' + 'er')()\n",
        "from apsam.other import *\nother()\n",
        "from apsam.other import other as o\no()\n",
        "import importlib\nimportlib.import_module('apsam.other').other()\n",
        "def f():\n    from apsam.other import other\n    return other\nf()\n",
    ],
)
def test_every_form_of_import_is_followed(project: Path, text: str) -> None:
    (project / "scripts/stage.py").write_text(text)
    before = hash_of(project)
    replace(project, "apsam/other.py", "return 5", "return 6")
    assert hash_of(project) != before


def test_one_definition_can_be_hashed_alone(project: Path) -> None:
    def both() -> tuple[str, str]:
        return tuple(code_hash(project / "apsam/files.py", project / "apsam", name) for name in ("used", "unused"))

    before = both()
    replace(project, "apsam/files.py", "return 1", "return 10")
    assert both()[0] != before[0]
    assert both()[1] == before[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{**a, b: c}", "{b: a, **c}"),
        ("a[1:]", "a[:1]"),
        ("None", "0"),
        ("f(a, b=c)", "f(a, c=b)"),
        ("a - b - c", "a - (b - c)"),
        ("'a'", "b'a'"),
        ("1", "1.0"),
        ("lambda *, a, b=1: 0", "lambda *, a=1, b: 0"),
    ],
)
def test_similar_code_has_different_hashes(project: Path, one: str, other: str) -> None:
    hashes = set()
    for text in (one, other):
        (project / "scripts/stage.py").write_text(f"print({text})\n")
        hashes.add(hash_of(project))
    assert len(hashes) == 2


def test_an_import_for_its_effect_counts(project: Path) -> None:
    (project / "scripts/stage.py").write_text("import apsam.stage.effect\n")
    before = hash_of(project)
    replace(project, "apsam/stage/effect.py", "on import", "when imported")
    assert hash_of(project) != before


def test_each_script_of_the_workflow_can_be_hashed() -> None:
    root = Path(__file__).resolve().parents[1]
    scripts = sorted((root / "scripts").glob("*.py"))
    hashes = {script.name: code_hash(script) for script in scripts}
    assert len(set(hashes.values())) == len(scripts)


def test_descriptions_of_settings_do_not_count_and_those_of_other_calls_do(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        file = tmp_path / "script.py"
        file.write_text(text)
        return code_hash(file, tmp_path)

    assert hashed('a = Field(1, description="one")\n') == hashed('a = Field(1, description="two")\n')
    assert hashed('a = pydantic.Field(1, description="one")\n') == hashed('a = pydantic.Field(1, description="two")\n')
    assert hashed('draw(description="A")\n') != hashed('draw(description="B")\n')


def test_attributes_of_shared_syntax_nodes_do_not_count(project: Path) -> None:
    """Operators are shared by all trees; a `parent` on one, as some libraries set it, leads into a circle."""
    (project / "scripts/stage.py").write_text("print(1 + 2)\n")
    before = hash_of(project)
    addition = ast.parse("1 + 2", mode="eval").body
    assert isinstance(addition, ast.BinOp)
    addition.op.parent = addition  # type: ignore[attr-defined]
    try:
        (project / "scripts/stage.py").write_text("print(1 + 2)  # read anew\n")
        assert hash_of(project) == before
    finally:
        del addition.op.parent  # type: ignore[attr-defined]
