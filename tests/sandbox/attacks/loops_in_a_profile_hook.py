"""Loops when the sandbox's own function is called that ends the process, after all results were written.

Expected: timeout
"""


def hook(frame, event, argument):
    while "finish" in frame.f_code.co_name:
        pass


sys.setprofile(hook)
