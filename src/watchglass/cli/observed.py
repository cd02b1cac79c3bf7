"""Observed applications by name, for uvicorn, which takes an import string and may import it in another process.

`watchglass.cli.observed:app_<hex>` is a factory that makes the application that the hexadecimal text names.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from watchglass.errors import ApplicationNotFound

_PLAIN, _FACTORY = "app_", "factory_"


def import_string(target: str, *, factory: bool) -> str:
    """What uvicorn imports to get the observed `target`, with its option --factory."""
    return f"{__name__}:{_FACTORY if factory else _PLAIN}{target.encode().hex()}"


def __getattr__(name: str) -> Callable[[], Any]:
    for prefix in (_PLAIN, _FACTORY):
        if name.startswith(prefix):
            return partial(load, bytes.fromhex(name.removeprefix(prefix)).decode(), factory=prefix == _FACTORY)
    raise AttributeError(name)


def load(target: str, *, factory: bool) -> Any:
    """The application, observed. Raises `ApplicationNotFound`."""
    import watchglass

    found = find(target)
    application = _called(target, found) if factory else found
    return watchglass.observe(application)


def find(target: str) -> Any:
    """What MODULE:ATTRIBUTE names, imported. Raises `ApplicationNotFound` with the reason."""
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise ApplicationNotFound(target=target, reason="it has no colon between a module and a name in it")
    found = _imported(target, module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ApplicationNotFound(target=target, reason=f"{module_name} has no {path}") from None
    if not callable(found):
        raise ApplicationNotFound(target=target, reason=f"it is a {type(found).__name__}, which cannot be called")
    return found


def _imported(target: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ApplicationNotFound(target=target, reason=f"there is no module {error.name} here") from None
        raise _failed(target, f"importing {module_name} failed", error) from None
    except Exception as error:
        raise _failed(target, f"importing {module_name} failed", error) from None


def _called(target: str, factory: Any) -> Any:
    try:
        return factory()
    except Exception as error:
        raise _failed(target, "calling it failed", error) from None


def _failed(target: str, what: str, error: BaseException) -> ApplicationNotFound:
    """The error with the place in the application's code where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _not_the_applications(frame.filename)]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return ApplicationNotFound(target=target, reason=f"{what}{place} with {type(error).__name__}: {error}")


def _not_the_applications(file: str) -> bool:
    library = Path(importlib.__file__).parent.parent
    path = Path(file)
    return file.startswith("<") or path.is_relative_to(library) or file == __file__ or str(path).startswith(sys.prefix)
