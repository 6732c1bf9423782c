"""Check a data set before training: duplicates, patients on both sides, unreadable files, small classes, and more."""

from clesmote_losses.doctor.checkup import check
from clesmote_losses.doctor.findings import Finding, Report

__all__ = ["Finding", "Report", "check"]
