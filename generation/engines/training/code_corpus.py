"""Training text for pocket-code: the standard library of the Python that runs this, as small documents.

The library is under the PSF licence (https://docs.python.org/3/license.html). Each document is one
function, class, or module head in the one form that `ast.unparse` gives (no comments, four spaces, single
quotes), so that the few parameters learn the language rather than the habits of 200 authors. Every document
is followed by an end token, which is how the model learns to stop.
"""

import ast
import sysconfig
import warnings
from pathlib import Path

# Tests repeat themselves, generated tables and old grammars are not how Python looks.
LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idle_test",
    "encodings",
    "pydoc_data",
    "lib2to3",
}
LEFT_OUT |= {"turtledemo", "ensurepip", "__pycache__", "config"}
SHORTEST, LONGEST = 40, 6_000


def standard_library() -> Path:
    """Where this interpreter keeps its library's source."""
    return Path(sysconfig.get_paths()["stdlib"])


def source_files(root: Path) -> list[Path]:
    """The library's own modules, in a fixed order."""
    files = (p for p in root.rglob("*.py") if not LEFT_OUT & set(p.relative_to(root).parts[:-1]))
    return sorted(p for p in files if not p.name.startswith("_sysconfigdata"))


def documents(root: Path) -> list[str]:
    """All documents of the library, each ending in one newline, without repetitions, in a fixed order."""
    found: dict[str, None] = {}
    for path in source_files(root):
        for text in module_documents(path.read_text(encoding="utf-8", errors="replace")):
            if SHORTEST <= len(text) <= LONGEST:
                found.setdefault(text)
    return list(found)


def module_documents(source: str) -> list[str]:
    """The documents of one module: its imports and constants, its classes and its functions."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(source)
    except SyntaxError:
        return []
    _shorten_docstrings(tree)
    texts, head = [], []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            texts.append(_text([node]))
        elif isinstance(node, ast.ClassDef):
            texts.extend(_class_documents(node))
        elif not texts:
            head.append(node)
    return [_text(head), *texts] if head else texts


def _class_documents(node: ast.ClassDef) -> list[str]:
    """The class itself and, once more, its longer methods as functions of their own."""
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and len(n.body) > 2]
    return [_text([node]), *(_text([method]) for method in methods)]


def _text(nodes: list[ast.stmt]) -> str:
    return ast.unparse(ast.Module(body=nodes, type_ignores=[])).strip() + "\n"


def _shorten_docstrings(tree: ast.Module) -> None:
    """Keep the first line of each docstring."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        lines = ast.get_docstring(node).strip().splitlines()
        node.body[0] = ast.Expr(ast.Constant(lines[0].strip() if lines else ""))
