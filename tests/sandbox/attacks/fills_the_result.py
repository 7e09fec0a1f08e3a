"""Writes without end where its results go.

Expected: output_limit
"""

while True:
    os.write(RECORDS, bytes(65536))
