"""The suites, one file each: a module of this package that declares ``SUITE`` is found without being listed."""
