"""Calls and results on their way between processes.

Everything is pickled once more before the standard pool sees it. What fails to unpickle in the pool's own
hands ends the whole pool; in a parcel it fails the one call it belongs to. Only this process and the
workers it started write what is unpickled here.
"""

from __future__ import annotations

import functools
import pickle
from typing import Any

from asyncflags.errors import BridgeError


class Parcel:
    """A call that is pickled when the pool sends it, off the caller's thread, and arrives as bytes.

    Attributes:
        name: The dotted name of the function.
        refusal: Why the call could not be pickled, or ``None``. It is kept here because the pool turns
            the cause of an error it passes on into text.
    """

    def __init__(self, work: functools.partial[Any]) -> None:
        self.name = name_of(work)
        self.refusal: BridgeError | None = None
        self._work: functools.partial[Any] | None = work

    def __reduce__(self) -> tuple[type[Letter], tuple[str, bytes]]:
        work, self._work = self._work, None
        try:
            return Letter, (self.name, pickle.dumps(work, pickle.HIGHEST_PROTOCOL))
        except Exception as error:
            # Pickling runs the code of any object, so any error can come out of it.
            self.refusal = _refusal(self.name, work, error)
            self.refusal.__cause__ = error
            raise pickle.PicklingError(str(self.refusal)) from error


class Letter:
    """A call as it arrived in a worker, not yet unpickled."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self._content = content

    def open(self) -> functools.partial[Any]:
        """Return the call.

        Raises:
            BridgeError: It does not unpickle in this process.
        """
        try:
            work: functools.partial[Any] = pickle.loads(self._content)  # noqa: S301
        except Exception as error:
            # Unpickling imports modules and runs the code of any object.
            raise BridgeError(
                f"{self.name} or an argument of it could not be unpickled in the worker process: {error!r}. "
                "Define the function and the classes of its arguments at the top level of a module that can "
                "be imported."
            ) from error
        return work


def perform(letter: Letter) -> bytes:
    """Run a call in a worker and return its pickled result.

    An error it raises is one that survives the way back.
    """
    work = letter.open()
    try:
        result = work()
    except BaseException as error:
        # The pool sends every error back, SystemExit too, and ends if one does not unpickle there.
        replacement = _replacement(letter.name, error)
        if replacement is None:
            raise
        raise replacement from error
    try:
        return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        # Pickling runs the code of any object, so any error can come out of it.
        raise BridgeError(f"The result of {letter.name} cannot be pickled: {error}") from error


def open_result(name: str, content: bytes) -> tuple[Any, BridgeError | None]:
    """Return the result of a call, or ``None`` and why it does not unpickle in this process."""
    try:
        return pickle.loads(content), None  # noqa: S301
    except Exception as error:  # noqa: BLE001
        # Unpickling imports modules and runs the code of any object.
        refusal = BridgeError(f"The result of {name} could not be unpickled: {error!r}")
        refusal.__cause__ = error
        return None, refusal


def _refusal(name: str, work: Any, error: Exception) -> BridgeError:
    try:
        pickle.dumps(work.func)
    except Exception:  # noqa: BLE001
        # The same error as that of the whole call: the function is what does not pickle.
        return BridgeError(
            f"{name} cannot be sent to a worker process, which must be able to import it by this name. "
            "Define it at the top level of a module, not as a lambda and not inside another function."
        )
    return BridgeError(f"An argument of {name} cannot be pickled for the worker process: {error}")


def _replacement(name: str, error: BaseException) -> BridgeError | None:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:  # noqa: BLE001
        # The constructor of a class that does not pickle can fail in any way.
        kind = type(error)
        return BridgeError(
            f"{name} raised {kind.__module__}.{kind.__qualname__}, which does not survive pickling: {error}"
        )
    return None


def name_of(work: functools.partial[Any]) -> str:
    """Return the dotted name of the function that *work* calls."""
    function = work.func
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)
