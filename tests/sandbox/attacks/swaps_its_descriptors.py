"""Swaps the pipe for its results with the one for its traces.

Expected: security_violation
"""

spare = os.dup(RECORDS)
os.dup2(TRACE, RECORDS)
os.dup2(spare, TRACE)
