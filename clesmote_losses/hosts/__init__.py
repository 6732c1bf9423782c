"""What one host (a training script or framework that people use already) needs to run the method; nothing is computed here.

A module of this package is imported by who uses that host, and by nobody else.
"""
