"""What becomes of calls and results that do not survive the way between processes, in words."""

from __future__ import annotations

import functools
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

from asyncflags.bridges._frames import ERROR, NOT_OPENED, RESULT, Frame, pack
from asyncflags.bridges._worker import Failure
from asyncflags.errors import BridgeError

LARGE_RESULT = 256 * 1024
"""A pickle of more than this many bytes is not unpickled on the loop."""

GUARD = (
    'If it is a script, keep what it runs under `if __name__ == "__main__":`, because every worker imports '
    "the script to find its functions."
)


class RemoteTraceback(Exception):
    """The traceback in the worker, as text: the cause of an error that came from there."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


Body = bytes | bytearray | memoryview
Work = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def pack_call(work: Work) -> tuple[bytes, list[memoryview]]:
    """Pickle a call.

    Raises:
        BridgeError: The function or an argument cannot be sent to another process.
    """
    function, args, kwargs = work
    if getattr(_innermost(function), "__module__", None) == "__main__" and _main_has_no_file():
        raise BridgeError(
            f"{name_of(work[0])} cannot be sent to a worker process: it is defined in a notebook or at a prompt, "
            "where no other process can find it. Put it into a module file and import it from there."
        )
    try:
        if type(function) is FunctionType or type(function) is BuiltinFunctionType:
            module, name = function.__module__, function.__qualname__
            if getattr(sys.modules.get(module), name, None) is function:
                # Pickle finds out the same and then writes the same names, at many times the cost.
                return pack((module, name, args, kwargs))
        return pack(work)
    except Exception as error:
        # Pickling runs the code of any object, so any error can come out of it.
        raise _refusal(name_of(work[0]), work[0], error) from error


def open_answer(
    function: Callable[..., Any], frame: Frame, views: Sequence[memoryview]
) -> tuple[Any, BaseException | None]:
    """Return the result of a call of *function*, or ``None`` and the error it ended with."""
    if frame.kind == RESULT:
        try:
            return pickle.loads(frame.body, buffers=views), None  # noqa: S301
        except BaseException as trouble:  # noqa: BLE001
            # Unpickling imports modules and runs the code of any object, which may even ask to exit; raised
            # here it would end the host's loop.
            return None, _unreadable(function, trouble)
    name = name_of(function)
    failure = Failure(*pickle.loads(frame.body))  # noqa: S301
    if frame.kind == ERROR:
        return None, _raised(name, failure)
    if frame.kind == NOT_OPENED:
        message = (
            f"{name} or an argument of it could not be unpickled in the worker process: {failure.kind}: "
            f"{failure.text}. Define the function and the classes of its arguments at the top level of a "
            "module that can be imported."
        )
    else:
        message = f"The result of {name} cannot be pickled: {failure.text}"
    error = BridgeError(message)
    error.__cause__ = _cause(failure)
    return None, error


def open_in_steps(
    function: Callable[..., Any], body: Body, views: Sequence[memoryview]
) -> tuple[Any, BaseException | None]:
    """Unpickle a large result in a thread without holding up the others.

    Unpickling a large object graph is one long call of C code that lets no other thread run. It reads the
    pickle in pieces of 64 KiB, and between two of them the others get their turn.

    Returns:
        The result, or ``None`` and why it does not unpickle in this process.
    """
    try:
        return pickle.Unpickler(_Steps(body), buffers=views).load(), None  # noqa: S301
    except BaseException as error:  # noqa: BLE001
        # Unpickling imports modules and runs the code of any object, which may even ask to exit.
        return None, _unreadable(function, error)


class _Steps:
    def __init__(self, body: Body) -> None:
        self._body = memoryview(body)
        self._position = 0

    def read(self, size: int) -> bytes:
        time.sleep(0)
        start = self._position
        self._position += size
        return bytes(self._body[start : self._position])

    def readinto(self, room: Any) -> int:
        taken = memoryview(self.read(len(room)))
        room[: len(taken)] = taken
        return len(taken)

    def readline(self) -> bytes:
        rest = bytes(self._body[self._position :])
        line = rest[: rest.index(b"\n") + 1]
        self._position += len(line)
        return line


def not_started(frame: Frame) -> BridgeError:
    """Return what those who wait for a worker are told when the initializer failed."""
    failure = Failure(*pickle.loads(frame.body))  # noqa: S301
    error = BridgeError(f"The initializer of the workers failed: {failure.kind}: {failure.text}")
    error.__cause__ = _cause(failure)
    return error


def _unreadable(function: Callable[..., Any], error: BaseException) -> BridgeError:
    refusal = BridgeError(f"The result of {name_of(function)} could not be unpickled: {error!r}")
    refusal.__cause__ = error
    return refusal


def _raised(name: str, failure: Failure) -> BaseException:
    error: BaseException | None = None
    if failure.error is not None:
        try:
            error = cast(BaseException, pickle.loads(failure.error))  # noqa: S301
        except BaseException:  # noqa: BLE001
            # It unpickled in the worker. Here its class may be missing or another one, and its code may even
            # ask to exit.
            error = None
    if isinstance(error, StopIteration):
        # A future cannot carry one.
        error = RuntimeError(f"{name} raised StopIteration")
    elif not isinstance(error, BaseException):
        error = BridgeError(f"{name} raised {failure.kind}, which does not survive pickling: {failure.text}")
    error.__cause__ = RemoteTraceback(failure.trace)
    return error


def _cause(failure: Failure) -> BaseException:
    """The error itself if it arrives, with its traceback in the worker as the cause."""
    return _raised("The worker", failure)


def _refusal(name: str, function: Any, error: Exception) -> BridgeError:
    try:
        pickle.dumps(function)
    except Exception:  # noqa: BLE001
        # The same error as that of the whole call: the function is what does not pickle.
        return BridgeError(
            f"{name} cannot be sent to a worker process, which must be able to import it by this name. "
            "Define it at the top level of a module, not as a lambda and not inside another function."
        )
    return BridgeError(f"An argument of {name} cannot be pickled for the worker process: {error}")


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _main_has_no_file() -> bool:
    main = sys.modules.get("__main__")
    return getattr(main, "__file__", None) is None and getattr(main, "__spec__", None) is None


def name_of(function: Any) -> str:
    """Return the dotted name of *function*."""
    function = _innermost(function)
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)
