"""The parent's side of worker processes: launched, found again, spoken to, and noticed when they die.

Imports worker.protocol; imported by recording and the composition.
"""
