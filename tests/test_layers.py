"""Who may import whom, and what a module of this house looks like."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import batchtts

#: Reads downwards: a module may use what is below it, and its own folder.
HOUSE = (
    "batchtts",
    "__main__",
    "cli",
    "selftest   audit   book   export   review.report",
    "run",
    "verify",
    "review.transcribe   review.ears   review.mos   review.page",
    "review.children",
    "server   run.memory   run.progress",
    "run.contest   run.desk   run.local   run.spelling",
    "run.figures",
    "record   wire.line",
    "job   wire.session",
    "review   run.retry   run.pace",
    "audio   wire   text",
    "wire.dialogue",
    "wire.dialect   wire.states   wire.words",
    "wire.events",
    "model",
    "errors   hints   lots   notices",
)
FLOORS = {name: floor for floor, names in enumerate(HOUSE) for name in names.split()}

#: No I/O, no clock, no chance.
PURE = (
    "audio.clicks audio.edges audio.join audio.measure audio.mpeg audio.ogg audio.pcm audio.riff"
    " errors hints job.casting job.durations job.ping job.plan job.prints job.sharing lots model"
    " notices record.names review.alignment review.canary review.checks"
    " review.compare review.figures"
    " review.hearing review.likeness review.norms review.sounds review.units"
    " run.figures run.pace run.spelling"
    " server.damage server.faultfile server.faults server.knobs text wire"
    " export.alignment export.captions export.cuefiles export.filenames export.languages"
    " export.loudness export.meter export.orders export.steps"
    " review.page.alignment review.page.band review.page.bins review.page.drawing"
    " review.page.durations review.page.plots review.page.ranking review.page.spelling"
    " review.page.timeline"
).split()
IMPURE = (
    "wire.line",
    "wire.link",
    "wire.registry",
    "wire.session",
    "wire.sockets",
    "wire.tap",
    "wire.tape",
)
OUTSIDE = (
    "asyncio concurrent datetime glob http importlib io logging multiprocessing os pathlib pyarrow"
    " random secrets select shutil signal socket soundfile soxr ssl subprocess sys tempfile"
    " tenacity threading time trio trio_websocket urllib.request uuid"
).split()

#: Imported in the bodies of commands only, so that they may import what they need.
ON_DEMAND = ("cli.bar", "cli.sources", "cli.tables", "cli.talk")

ROOT = Path(batchtts.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").strip(".")
    or "batchtts": path
    for path in sorted(ROOT.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

every_module = pytest.mark.parametrize("module", MODULES)
every_pure_module = pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if name not in IMPURE and any(name == pure or name.startswith(f"{pure}.") for pure in PURE)
    ],
)
every_command = pytest.mark.parametrize(
    "module", [name for name in MODULES if name.startswith("cli") and name not in ON_DEMAND]
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def imports(*nodes: ast.AST) -> Iterator[str]:
    """The full names of what is imported, submodules told from their contents."""
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.Import):
                yield from (alias.name for alias in each.names)
            elif isinstance(each, ast.ImportFrom):
                yield from (_full(each.module or "", alias.name) for alias in each.names)


def _full(module: str, name: str) -> str:
    full = f"{module}.{name}"
    return full if full.removeprefix("batchtts.") in MODULES else module


def ours(module: str) -> set[str]:
    """The modules of the house that a module imports, anywhere in it."""
    found = {name.removeprefix("batchtts.") for name in imports(TREES[module])}
    return {name for name in found if name in MODULES and name != "batchtts"}


def uses(imported: str, forbidden: str) -> bool:
    return imported == forbidden or imported.startswith(f"{forbidden}.")


def place(module: str) -> str:
    """The longest name in the table that the module goes by."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    found = next((name for name in names if name in FLOORS), None)
    assert found is not None, f"{module} has no place in the house: give it one above"
    return found


def functions(module: str) -> Iterator[Function]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: Function) -> int:
    """Lines of a function, its docstring not among them."""
    docstring = function.body[:1] if ast.get_docstring(function) else []
    return _lines(function) - sum(map(_lines, docstring))


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def public(module: str) -> Iterator[Function | ast.ClassDef]:
    """The classes and functions that other modules may use."""
    for node in TREES[module].body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@every_module
def test_imports_point_downwards(module: str) -> None:
    here = place(module)
    for used in ours(module):
        is_below = FLOORS[place(used)] > FLOORS[here]
        assert is_below or place(used) == here, f"{module} imports {used}"


def test_no_module_leads_back_to_itself() -> None:
    TopologicalSorter({name: ours(name) for name in MODULES if name != "batchtts"}).prepare()


@every_pure_module
def test_a_pure_module_touches_nothing_outside(module: str) -> None:
    for used in imports(TREES[module]):
        assert not any(uses(used, outside) for outside in OUTSIDE), f"{module} imports {used}"
    for node in ast.walk(TREES[module]):
        assert not (isinstance(node, ast.Name) and node.id == "open"), f"{module} opens a file"


@every_pure_module
def test_a_pure_module_uses_pure_modules_only(module: str) -> None:
    for used in ours(module):
        assert used not in IMPURE, f"{module} imports {used}"
        assert any(uses(used, pure) for pure in PURE), f"{module} imports {used}"


def test_retrying_knows_tenacity_and_the_clock_of_trio_and_nothing_else() -> None:
    outside = {used for used in imports(TREES["run.retry"]) if used.split(".")[0] in OUTSIDE}
    assert outside == {"tenacity", "tenacity.wait", "trio"}


def test_tenacity_has_one_user() -> None:
    users = {name for name in MODULES if any(uses(it, "tenacity") for it in imports(TREES[name]))}
    assert users == {"run.retry"}


@every_module
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


@every_module
def test_no_function_is_longer_than_60_lines(module: str) -> None:
    assert [it.name for it in functions(module) if length(it) > 60] == []


@every_module
def test_nothing_catches_whatever_comes(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else ""
            assert caught not in ("", "Exception", "BaseException"), f"line {node.lineno}"


@every_module
def test_imports_are_absolute(module: str) -> None:
    levels = [it.level for it in ast.walk(TREES[module]) if isinstance(it, ast.ImportFrom)]
    assert not any(levels)


@every_module
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(TREES[module])


@every_module
def test_what_is_public_says_what_it_is(module: str) -> None:
    assert [it.name for it in public(module) if not ast.get_docstring(it)] == []


@every_command
def test_a_command_imports_next_to_nothing_until_it_is_called(module: str) -> None:
    at_the_top = [it for it in TREES[module].body if isinstance(it, ast.Import | ast.ImportFrom)]
    for used in imports(*at_the_top):
        inside = used.removeprefix("batchtts.")
        if inside == used:
            top = used.split(".")[0]
            assert top in ("batchtts", "click") or top in sys.stdlib_module_names, used
        else:
            assert inside == "errors" or uses(inside, "cli"), used
            assert inside not in ON_DEMAND, used


@pytest.mark.parametrize("module", ["batchtts", "batchtts.cli"])
def test_importing_it_costs_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pyarrow", "rich", "soundfile", "soxr", "tenacity", "trio", "msgspec"}
    assert heavy.isdisjoint(done.stdout.split())
