"""Connect the method to hosts: training scripts and frameworks that people already use. Nothing is computed here.

``declaration``, ``options``, ``recipe`` and ``strata_file`` serve every host. A subpackage serves one host, and only its
users import it. ``epochs``, ``ranks``, ``timm_data``, ``timm_task`` and ``timm_transforms`` are earlier import paths.
"""
