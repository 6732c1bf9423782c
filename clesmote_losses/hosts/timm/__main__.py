"""Run ``python -m clesmote_losses.hosts.timm``, which is the command ``clesmote-timm``."""

from clesmote_losses.hosts.timm.command import main

if __name__ == "__main__":  # spawned workers import this file
    main()
