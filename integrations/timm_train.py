"""timm's train.py with CLE-SMOTE, from a clone: ``python integrations/timm_train.py --smote smote path/to/train.py ...``.

The same as the command ``clesmote-timm`` that pip installs; ``--help`` lists the flags.
"""

from clesmote_losses.hosts.timm import main

if __name__ == "__main__":  # workers that are spawned import this file
    main()
