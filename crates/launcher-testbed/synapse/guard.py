"""Runs Synapse in this process until standard input reaches its end.

    guard.py homeserver.yaml signing.key

The other end of standard input is held by the test. When the test is gone,
however it went, the kernel closes the pipe and Synapse stops with it. There is
no second process in between, so none can be left over.
"""

import os
import runpy
import signal
import sys
import threading
import time

# Synapse needs about a second to stop. After this many, its data may be lost:
# a test's data is worth less than a port that stays taken.
GRACE_SECONDS = 10


def main():
    config, signing_key = sys.argv[1:3]
    ensure_signing_key(signing_key)
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    sys.argv = ["synapse", "--config-path", config]
    runpy.run_module("synapse.app.homeserver", run_name="__main__", alter_sys=True)


def ensure_signing_key(path):
    """Synapse refuses to start without a key, and makes one only on request."""
    if os.path.exists(path):
        return
    from signedjson.key import generate_signing_key, write_signing_keys

    with open(path, "w", opener=lambda p, flags: os.open(p, flags, mode=0o600)) as file:
        write_signing_keys(file, (generate_signing_key("a_testbed"),))


def stop_at_end_of_input():
    # `os.read` and not `sys.stdin`: a thread that waits inside the latter makes
    # the interpreter abort when it shuts down.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


main()
