"""The layout of the code: tests mirror it, files are short, imports have no circle, one file asks torch.distributed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = {ROOT / "clesmote_losses": ROOT / "tests" / "package", ROOT / "benchmarks": ROOT / "tests" / "benchmarks"}
EARLIER_PATHS = [
    f"clesmote_losses/hosts/{name}.py" for name in ("epochs", "ranks", "timm_data", "timm_task", "timm_transforms")
]
# tests of several modules, or of a folder as a whole
NO_MODULE = {
    "tests/package/test_init.py": "what the package exports, and its parts together in a training step",
    "tests/package/test_wrong_uses.py": "one table of wrong uses of the whole public surface",
    "tests/package/hosts/test_earlier_paths.py": "import paths of before, one line each",
    "tests/benchmarks/test_main.py": "the command line as a whole",
}


def modules(tree: Path) -> Iterator[Path]:
    """Files of code that need a test file of their own."""
    for path in sorted(tree.rglob("*.py")):
        if path.name not in ("__init__.py", "__main__.py") and str(path.relative_to(ROOT)) not in EARLIER_PATHS:
            yield path


def test_every_module_has_the_test_file_of_its_name() -> None:
    missing = [
        f"{path.relative_to(ROOT)} needs {test.relative_to(ROOT)}"
        for tree, tests in TREES.items()
        for path in modules(tree)
        if not (test := tests / path.relative_to(tree).with_name(f"test_{path.name}")).exists()
    ]
    assert not missing, "\n".join(missing)


def test_every_test_file_belongs_to_a_module() -> None:
    """The name of a module, or that and what part of it is tested: ``test_dataset_redraw.py``."""
    stray = []
    for tree, tests in TREES.items():
        for path in sorted(tests.rglob("test_*.py")):
            names = [module.stem for module in (tree / path.relative_to(tests).parent).glob("*.py")]
            belongs = any(f"{path.stem}_".startswith(f"test_{name}_") for name in names)
            if not belongs and str(path.relative_to(ROOT)) not in NO_MODULE:
                stray.append(str(path.relative_to(ROOT)))
    assert not stray, "\n".join(stray)


def test_no_code_file_is_longer_than_300_lines() -> None:
    folders = [*TREES, ROOT / "integrations"]
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py")}
    assert len(lengths) > 80
    assert not {str(path): length for path, length in lengths.items() if length > 300}


def test_no_two_names_of_the_benchmark_differ_by_an_s() -> None:
    names = {path.stem for path in (ROOT / "benchmarks").rglob("*") if path.suffix == ".py" or any(path.glob("*.py"))}
    assert not {name for name in names if f"{name}s" in names}


def imports(path: Path) -> set[str]:
    """Modules of the project that a file imports when it is imported."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def graph(tree: Path) -> dict[str, set[str]]:
    """The modules of a tree, each with those of the tree that it imports."""
    name_of = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in tree.rglob("*.py")}
    name_of = {path: name.removesuffix(".__init__") for path, name in name_of.items()}
    return {name: imports(path) & (set(name_of.values()) - {name}) for path, name in name_of.items()}


def circles(edges: dict[str, set[str]]) -> set[str]:
    """What remains when everything that imports nothing that remains is taken away, again and again."""
    left = dict(edges)
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    return set(left)


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == {"a", "b", "c"}
    assert circles({"a": {"b"}, "b": set()}) == set()


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_imports_have_no_circle(tree: Path) -> None:
    edges = graph(tree)
    assert sum(map(len, edges.values())) > 50
    assert not circles(edges)


def test_folders_of_the_benchmark_import_each_other_in_one_direction() -> None:
    edges: dict[str, set[str]] = {}
    for name, imported in graph(ROOT / "benchmarks").items():
        folder = ".".join(name.split(".")[:2])
        edges.setdefault(folder, set()).update(
            {".".join(other.split(".")[:2]) for other in imported} - {folder, "benchmarks"}
        )
    assert edges["benchmarks.training"] >= {"benchmarks.methods", "benchmarks.data"}
    assert not circles(edges)
    assert floors(edges) <= 7


def floors(edges: dict[str, set[str]]) -> int:
    """Length of the longest way down."""
    height: dict[str, int] = {}
    while len(height) < len(edges):
        height |= {
            name: 1 + max((height[other] for other in imported), default=0)
            for name, imported in edges.items()
            if imported <= height.keys()
        }
    return max(height.values())


def test_one_file_of_the_package_asks_torch_distributed() -> None:
    asking = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "clesmote_losses").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.distributed")
        or (isinstance(node, ast.Import | ast.ImportFrom) and "torch.distributed" in ast.unparse(node))
    ]
    assert set(asking) == {"clesmote_losses/distributed.py"}


def test_setuptools_finds_every_folder_of_code() -> None:
    """It installs folders with an ``__init__.py``; an editable install hides one that lacks it."""
    assert 'include = ["clesmote_losses*"]' in (ROOT / "pyproject.toml").read_text()
    folders = {path.parent for path in (ROOT / "clesmote_losses").rglob("*.py")}
    assert len(folders) >= 6
    assert all((folder / "__init__.py").exists() for folder in folders)
