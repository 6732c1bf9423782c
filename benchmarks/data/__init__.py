"""Data sets, one file each: what of them is trained on and tested on."""
