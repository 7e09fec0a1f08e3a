"""Reads the cache in which datasets keeps what it once fetched.

Expected: security_violation
"""

for home in (HOME, os.path.expanduser("~"), "/root"):
    cache = home + "/.cache/huggingface"
    print(attempt(lambda: open(cache + "/datasets/arc.json").read()))
    if attempt(os.listdir, cache):
        print("LEAKED")
