"""Makes links, to read a file under a name that is allowed.

Expected: security_violation
"""

library = os.path.dirname(os.__file__)
for make in (os.symlink, os.link):
    for link in (library + "/arcgym-test-link", "/canary/arcgym-test-link", SECRET + "-link"):
        try:
            make(SECRET, link)
            print("LEAKED", open(link).read())
        except OSError:
            pass
