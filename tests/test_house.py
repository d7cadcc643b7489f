"""The rules of the house, as tests: who may import whom, how large things get, what names and habits are barred."""

import ast
import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from django.core.management import call_command
from importlinter.cli import lint_imports

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("accounts", "billing", "safety", "generation", "console")
SOURCES = sorted(
    path
    for folder in (*ROOMS, "bench", "tests")
    for path in (PROJECT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
PURE = sorted(
    [
        *(PROJECT / "generation" / "policy").rglob("*.py"),
        *(PROJECT / "generation" / "simulator").rglob("*.py"),
        PROJECT / "billing" / "pricing.py",
        PROJECT / "billing" / "waterfall.py",
        PROJECT / "billing" / "limits.py",
        PROJECT / "billing" / "allowance.py",
        PROJECT / "billing" / "overage.py",
        PROJECT / "accounts" / "overrides.py",
        *(PROJECT / "console" / "alarms" / "policy").rglob("*.py"),
        *(PROJECT / "console" / "overview" / "policy").rglob("*.py"),
        *(PROJECT / "console" / "incidents" / "policy").rglob("*.py"),
    ]
)
MODULE_LINES, FUNCTION_LINES = 400, 70
BARRED_NAMES = {"utils", "helpers", "services", "managers", "misc", "common"}
# Clocks, chance and the outside world are arguments of a pure function, never its own doing.
IMPURE = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "urllib",
    "uuid",
}
IMPURE_CALLS = {"now", "utcnow", "today"}
MODEL_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "vllm", "safetensors")
# Rows of the ledger. Whoever else writes them goes around its locks; guards.py holds the database's own triggers.
LEDGER = ("billing/ledger.py", "billing/posting.py", "billing/guards.py")
LEDGER_ROWS = ("Transaction", "Entry", "Hold", "HoldPart")
WRITES = re.compile(
    rf"\b(?:{'|'.join(LEDGER_ROWS)})\.objects\.(?:\w+\(.*\)\.)*(?:create|bulk_create|get_or_create|update|delete)\("
    r"|(?:INSERT INTO|UPDATE|DELETE FROM)\s+billing_(?:transaction|entry|hold|account|holdpart)\b",
    re.IGNORECASE,
)


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(tree: ast.Module) -> set[str]:
    """The full names of the modules that a module imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_imports_run_one_way(monkeypatch):
    monkeypatch.chdir(PROJECT)
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = lint_imports(no_cache=True, no_logo=True)
    assert status == 0, printed.getvalue()


def test_policy_imports_the_standard_library_and_itself_only():
    ours = (
        "generation.policy",
        "generation.simulator",
        "billing.pricing",
        "billing.waterfall",
        "billing.limits",
        "console.alarms.policy",
        "console.overview.policy",
        "console.incidents.policy",
    )
    foreign = [
        f"{named(path)} imports {name}"
        for path in PURE
        for name in imported(tree_of(path))
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(ours)
    ]
    assert foreign == []


def test_policy_reads_no_clock_and_no_outside_world():
    found = []
    for path in PURE:
        tree = tree_of(path)
        found += [f"{named(path)} imports {name}" for name in imported(tree) if name.split(".")[0] in IMPURE]
        found += [
            f"{named(path)}:{node.lineno} calls {node.func.attr}()"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in IMPURE_CALLS
        ]
    assert found == []


def test_only_the_ledger_writes_money():
    found = [
        f"{named(path)}:{number}"
        for path in SOURCES
        if path.parts[len(PROJECT.parts)] in ROOMS and named(path) not in LEDGER
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WRITES.search(line)
    ]
    assert found == []


def test_modules_stay_small():
    lengths = {named(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > MODULE_LINES} == {}


def test_functions_stay_small():
    long = [
        f"{named(path)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_names_say_the_thing():
    barred = [
        named(path) for path in SOURCES if BARRED_NAMES & {path.stem, *path.relative_to(PROJECT).parts[:-1]}
    ]
    assert barred == []


def is_raised_or_logged(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "exception"
    return isinstance(node, ast.Raise)


def test_no_broad_except_swallows():
    """`except Exception` and wider only at a door to foreign code, where it is raised on or logged with its trace."""
    broad = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            wide = any(
                kind is None or getattr(kind, "id", "") in {"Exception", "BaseException"} for kind in kinds
            )
            if wide and not any(is_raised_or_logged(inner) for inner in ast.walk(node)):
                broad.append(f"{named(path)}:{node.lineno}")
    assert broad == []


def test_the_code_is_clean_and_formatted():
    check, layout = run("-m", "ruff", "check", "."), run("-m", "ruff", "format", "--check", ".")
    assert check.returncode == 0, check.stdout
    assert layout.returncode == 0, layout.stdout


@pytest.mark.django_db
def test_migrations_are_up_to_date():
    printed = io.StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=printed)
    assert printed.getvalue().strip() == "No changes detected"


WEB = f"""
import sys
from console.asgi import application
import console.urls
print([name for name in {MODEL_LIBRARIES!r} if name in sys.modules])
"""


def test_a_web_process_never_loads_a_model_library():
    loaded = run("-c", WEB)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "[]"


UPKEEP = f"""
import sys
from console.celery import app
app.loader.import_default_modules()
print(sorted(app.conf.beat_schedule[name]["task"] in app.tasks for name in app.conf.beat_schedule))
print([name for name in {MODEL_LIBRARIES!r} if name in sys.modules])
"""


def test_upkeep_knows_every_task_of_its_beat_and_loads_no_model_library():
    loaded = run("-c", UPKEEP)
    assert loaded.returncode == 0, loaded.stderr
    known, libraries = loaded.stdout.strip().splitlines()
    assert "False" not in known
    assert libraries == "[]"


def test_no_address_of_a_machine_or_a_registry_in_the_repository():
    """Pins are versions: where they come from is for the machine that installs them to say."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode != 0:
        names = [named(path) for path in SOURCES] + ["constraints.txt", "pyproject.toml", "Makefile"]
    else:
        names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    barred = re.compile(rb"--(?:extra-)?index-url|file:///|@ file:|/root/|/home/\w+/")
    found = [
        name
        for name in names
        if (PROJECT / name).is_file()
        and name != "tests/test_house.py"
        and barred.search((PROJECT / name).read_bytes())
    ]
    assert found == []
