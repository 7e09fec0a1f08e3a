"""Reads a file and connects from a second interpreter in the same process, where no audit hook listens.

Landlock lets nobody list the standard library's folder, so no interpreter can be made there; Python 3.11 dies of it.
Expected: security_violation, runtime_error, crashed
"""

code = f"""
import os, socket
def tell(function):
    try:
        function()
        os.write({{fd}}, b"LEAKED")
    except OSError:
        pass
tell(lambda: open({SECRET!r}).read())
tell(lambda: socket.create_connection(("127.0.0.1", {PORT})))
"""
reading, writing = os.pipe()
os.write(writing, b"heard: ")
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create()
attempt(interpreters.run_string, other, code.replace("{fd}", str(writing)))
print(os.read(reading, 100))
