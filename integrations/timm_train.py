"""Run timm's train.py with CLE-SMOTE from a clone: ``python integrations/timm_train.py --smote smote path/to/train.py ...``.

This is the command ``clesmote-timm`` that pip installs; ``--help`` lists the flags.
"""

from clesmote_losses.hosts.timm import main

if __name__ == "__main__":  # spawned workers import this file
    main()
