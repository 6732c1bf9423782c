"""All suites by name, and the options that they add to those of a command."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.command_line import Option, options_of
from benchmarks.lookup import Lookup
from benchmarks.sweep import suites
from benchmarks.sweep.declaration import Suite


def find_suites() -> Lookup[Suite]:
    """Import each module of the package ``suites`` and return what it declares, in the order of lists."""
    names = [f"{suites.__name__}.{module.name}" for module in pkgutil.iter_modules(suites.__path__)]
    found: list[Suite] = [importlib.import_module(name).SUITE for name in names]
    found.sort(key=lambda suite: (suite.order, suite.name))
    return Lookup.by_name("suite", found)


SUITES = find_suites()


def suite_options() -> list[Option]:
    """Return the options that suites have of their own, each once; its help says of which suites it is.

    Raises:
        TypeError: If two suites declare an option of one name differently.
    """
    merged: dict[str, tuple[Option, list[str]]] = {}
    for suite in SUITES.values():
        for declared in options_of(suite.options):
            first, names = merged.setdefault(declared.name, (declared, []))
            if (first.kind, first.default) != (declared.kind, declared.default):
                raise TypeError(f"{suite.name} declares {declared.flag} in another way than {names[0]}.")
            names.append(suite.name)
    return [
        replace(
            declared, metadata={**declared.metadata, "help": f"{', '.join(sorted(names))}: {declared.metadata['help']}"}
        )
        for declared, names in merged.values()
    ]


def check_suite_options(suite: Suite, options: Mapping[str, Any]) -> None:
    """Check that all options are the suite's own.

    Raises:
        ValueError: If one is of another suite.
    """
    for declared in suite_options():
        if declared.name in options and declared.name not in suite.option_names:
            owners = " and ".join(sorted(name for name in SUITES if declared.name in SUITES[name].option_names))
            raise ValueError(f"{declared.flag} belongs to {owners}, and {suite.name} does not have it: leave it out.")
