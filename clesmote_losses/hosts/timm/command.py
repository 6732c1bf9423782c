"""timm's ``train.py`` with the method by flags: ``clesmote-timm --smote smote path/to/train.py --data-dir DATA ...``.

The script is loaded as a module and four names *in that module* are replaced; nothing of timm is patched or copied. Both
kinds of script work: the loop calls a task of ``timm.task`` (timm 1.0.23 and newer), or ``loss_fn(output, target)`` (older
ones, ``legacy_train.py``).

==================  ==============================================================================================
``_parse_args``     the method's options are recorded, and flags that it cannot go with are refused
``create_dataset``  the training set is wrapped; the evaluation's is not
``create_loader``   no persistent workers where there are none
``train_one_epoch`` the first call makes tracker and loss, and pretrains; each one refreshes centroids and adds counts
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
    """Run the script that the command line names, as ``python script arguments`` would but for the flags before it."""
    parser = flag_parser()
    given = vars(parser.parse_args(arguments))
    script, rest = Path(given.pop("script")), given.pop("arguments")
    if not script.is_file():
        parser.error(f"{script} is no file. The script comes after the flags of the method and before its own.")
    if (flag := misplaced_flag(rest, script.read_text(encoding="utf-8"))) is not None:
        parser.error(f"{flag} is a flag of the method: put it before {script}.")
    sys.path[0:1] = [str(script.resolve().parent)]  # as Python does for a script; workers inherit it
    sys.argv = [str(script), *rest]
    module = _load(script)
    with errors_as_flags():
        Stages(given).put_into(module)
    module.main()


def _load(script: Path) -> ModuleType:
    """The script as a module under its own name, by which workers that are spawned find what it defines."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if script.stem in sys.modules or spec is None or spec.loader is None:
        raise SystemExit(f"clesmote-timm: error: {script} cannot be imported as {script.stem!r}: give it another name.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module
