"""The stub of the compiled core names every function and argument as the bindings do (stubtest sees names only)."""

import ast
import inspect
import re
from importlib.resources import files

import pytest

from mcfast import _core


def stubbed():
    """Return by name the arguments of each function or, where it is overloaded, of each overload."""
    tree = ast.parse(files("mcfast").joinpath("_core.pyi").read_text())
    functions = [(node.name, node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        methods = [node for node in owner.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
        functions += [(f"{owner.name}.{node.name}", node) for node in methods]
    out = {}
    for name, node in functions:
        out.setdefault(name, []).append([a.arg for a in node.args.args + node.args.kwonlyargs])
    return out


def bound():
    callables = dict(inspect.getmembers(_core, inspect.isroutine))
    for name, owner in inspect.getmembers(_core, inspect.isclass):
        members = inspect.getmembers(owner, inspect.isroutine)
        callables |= {f"{name}.{n}": m for n, m in members if n == "__init__" or not n.startswith("_")}
    return {name: [re.findall(r"(\w+): ", line) for line in signatures(m.__doc__)] for name, m in callables.items()}


def signatures(doc):
    """Return the signature lines of what pybind11 says of a function: the first, or the numbered ones."""
    first, *rest = doc.splitlines()
    return [line for line in rest if re.match(r"\d+\. ", line)] or [first]


def test_the_stub_names_what_is_bound():
    assert sorted(stubbed()) == sorted(bound())


@pytest.mark.parametrize("name", sorted(stubbed()))
def test_argument_names_agree(name):
    assert stubbed()[name] == bound()[name]
