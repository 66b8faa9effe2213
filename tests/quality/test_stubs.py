"""Every compiled module has its stub and every stub its words; `make check` compares them with the modules."""

import ast
import importlib
from pathlib import Path

import highperf
from tests.quality.source import PACKAGE, compiled_modules, module_name, place


def stub_of(path: Path) -> ast.Module:
    return ast.parse(path.with_suffix(".pyi").read_text())


def defined_names(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def is_public(name: str) -> bool:
    return not name.startswith("_")


def undocumented(path: Path) -> list[str]:
    """Public classes and functions of a stub, and public methods, that have no docstring."""
    found = []
    for node in stub_of(path).body:
        members = node.body if isinstance(node, ast.ClassDef) and is_public(node.name) else []
        for item in [node, *members]:
            if isinstance(item, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and is_public(item.name):
                overload = any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in item.decorator_list)
                setter = any(isinstance(mark, ast.Attribute) and mark.attr == "setter" for mark in item.decorator_list)
                if not (overload or setter or ast.get_docstring(item)):
                    found.append(f"{place(path.with_suffix('.pyi'), item.lineno)}: {item.name}")
    return found


def test_every_compiled_module_has_a_stub() -> None:
    assert not [module_name(path) for path in compiled_modules() if not path.with_suffix(".pyi").exists()]


def test_every_stub_has_its_module() -> None:
    assert not [stub for stub in PACKAGE.rglob("*.pyi") if not stub.with_suffix(".pyx").exists()]


def test_every_extension_has_its_source() -> None:
    extensions = PACKAGE.rglob("*.so")
    assert not [found for found in extensions if not (found.parent / f"{found.name.split('.')[0]}.pyx").exists()]


def test_every_compiled_module_imports_alone() -> None:
    for path in compiled_modules():
        importlib.import_module(module_name(path))


def test_public_names_of_stubs_are_documented() -> None:
    found = [line for path in compiled_modules() if path.with_suffix(".pyi").exists() for line in undocumented(path)]
    assert not found, "\n".join(found)


def test_public_names_are_importable_and_typed() -> None:
    compiled = {module_name(path): path for path in compiled_modules()}
    for name in highperf.__all__:
        value = getattr(highperf, name)
        source = compiled.get(getattr(value, "__module__", ""))
        if source is not None:
            assert name in defined_names(stub_of(source)), f"{name} is missing in the stub of {value.__module__}"


def test_public_names_are_sorted_and_complete() -> None:
    assert sorted(highperf.__all__) == list(highperf.__all__)
    assert "__version__" in highperf.__all__
