"""The errors that have a name of their own; every other bad argument is a ValueError or TypeError."""

from __future__ import annotations


class FormatError(ValueError):
    """A path does not hold what it should: no such thing, or none of ours."""


class CorruptError(FormatError):
    """Files that were ours have been truncated or altered."""


class NewerFormatError(FormatError):
    """The files were written by a newer mcfast than this one."""


class UnknownIdError(LookupError):
    """An id that the vocabulary does not hold."""


class DivergenceError(ArithmeticError):
    """Training left the range of finite numbers, also at half the step."""


class BusyError(RuntimeError):
    """Another process publishes, rolls back or prunes in the same folder, and waiting was not wanted."""


class RecallWarning(UserWarning):
    """An approximate index did not reach the recall that was asked for, and answers exactly instead."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message says the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}: pip install 'mcfast[{extra}]'")
