"""Packages that only some calls need, imported when such a call is made."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from consilience.exceptions import MissingDependencyError


def require(module: str, *, install: str, purpose: str) -> ModuleType:
    """Import a module, or raise an error that says how to install it.

    Parameters
    ----------
    module : str
        Dotted name, such as ``"pyarrow.parquet"``.
    install : str
        What to hand to ``pip install``.
    purpose : str
        What needs it, as the start of the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingDependencyError
        If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f'{purpose} needs the package {package}: pip install "{install}"'
        ) from error
