"""Has the sandbox's own function jump, as a debugger may, past the line that looks for violations.

Expected: security_violation
"""

import socket


def jump(frame, event, argument):
    if event == "line" and frame.f_code.co_name == "_failure":
        frame.f_lineno = frame.f_code.co_firstlineno + 3
        sys.settrace(None)
        return None
    return jump


def transform(grid):
    if attempt(socket.socket):
        print("LEAKED")
    sys.settrace(jump)
    raise ValueError("an ordinary mistake")
