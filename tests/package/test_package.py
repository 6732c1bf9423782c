"""The package as a whole."""

import subprocess
import sys

import clesmote_losses

HEAVY = ["timm", "imblearn", "sklearn", "scipy", "matplotlib", "torchvision", "PIL", "pandas"]


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = f"import sys, clesmote_losses; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    assert clesmote_losses.__all__ == sorted(clesmote_losses.__all__)
    for name in clesmote_losses.__all__:
        assert getattr(clesmote_losses, name).__doc__
