"""``python -m clesmote_losses.hosts.timm``: the same as the command ``clesmote-timm``."""

from clesmote_losses.hosts.timm.command import main

if __name__ == "__main__":  # workers that are spawned import this file
    main()
