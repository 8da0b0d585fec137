"""The stub of the compiled core names every function and argument as the bindings do (stubtest sees names only)."""

import ast
import inspect
import re
from importlib.resources import files

import pytest

from mcfast import _core


def stubbed():
    tree = ast.parse(files("mcfast").joinpath("_core.pyi").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        methods = [node for node in owner.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
        functions |= {f"{owner.name}.{node.name}": node for node in methods}
    return {name: [a.arg for a in node.args.args + node.args.kwonlyargs] for name, node in functions.items()}


def bound():
    callables = dict(inspect.getmembers(_core, inspect.isroutine))
    for name, owner in inspect.getmembers(_core, inspect.isclass):
        members = inspect.getmembers(owner, inspect.isroutine)
        callables |= {f"{name}.{n}": m for n, m in members if n == "__init__" or not n.startswith("_")}
    return {name: re.findall(r"(\w+): ", member.__doc__.splitlines()[0]) for name, member in callables.items()}


def test_the_stub_names_what_is_bound():
    assert sorted(stubbed()) == sorted(bound())


@pytest.mark.parametrize("name", sorted(stubbed()))
def test_argument_names_agree(name):
    assert stubbed()[name] == bound()[name]
