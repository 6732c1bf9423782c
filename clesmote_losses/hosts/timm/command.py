"""Run timm's ``train.py`` with flags of the method: ``clesmote-timm --smote smote path/to/train.py --data-dir DATA ...``.

The script is loaded as a module, and four functions *in that module* are replaced. Nothing of timm is patched or copied.
Both kinds of script work: those whose loop calls a task of ``timm.task`` (timm 1.0.23 and newer), and those whose loop calls
``loss_fn(output, target)`` (older ones, ``legacy_train.py``). ``--rebalance-head`` does its work after the script's ``main``.

==================  ==============================================================================================
``_parse_args``     records the options of the method, and refuses flags that it excludes
``create_dataset``  adds the synthetic samples to the training set
``create_loader``   asks for persistent workers only if there are workers
``train_one_epoch`` pretrains and makes the loss at its first call; refreshes centroids and adds counts at each
==================  ==============================================================================================
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from clesmote_losses.hosts.timm.flags import errors_as_flags, flag_parser, misplaced_flag
from clesmote_losses.hosts.timm.script import Stages


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the script of a command line like ``python script arguments``, with the flags of the method that precede it.

    Args:
        arguments: Command line without the program's name; by default that of the process.

    Raises:
        SystemExit: With a message, if the command line or an option is wrong.
    """
    parser = flag_parser()
    given = vars(parser.parse_args(arguments))
    script, rest = Path(given.pop("script")), given.pop("arguments")
    if not script.is_file():
        parser.error(f"{script} is no file. Put the script after the flags of the method and before its own flags.")
    if (flag := misplaced_flag(rest, script.read_text(encoding="utf-8"))) is not None:
        parser.error(f"{flag} is a flag of the method: put it before {script}.")
    sys.path[0:1] = [str(script.resolve().parent)]  # as Python does for a script; workers inherit it
    sys.argv = [str(script), *rest]
    module = _load(script)
    with errors_as_flags():
        stages = Stages(given)
        stages.put_into(module)
    module.main()
    stages.finish()


def _load(script: Path) -> ModuleType:
    """Load the script as a module of its own name, so that spawned workers find what it defines."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if script.stem in sys.modules or spec is None or spec.loader is None:
        raise SystemExit(f"clesmote-timm: error: {script} cannot be imported as {script.stem!r}: give it another name.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module
