"""What must not interrupt a run."""

import subprocess
import sys

PROGRAM = """
import os, sys, time
from flows.interruption import outlive_readers
outlive_readers()
print("begun", file=sys.stderr, flush=True)
sys.stdin.read()  # until the reader is gone
nowhere = os.stat(os.devnull)
while not all(os.path.samestat(os.fstat(descriptor), nowhere) for descriptor in (1, 2)):
    time.sleep(0.01)
for stream in (sys.stdout, sys.stderr):
    print("nobody reads this", file=stream, flush=True)
sys.exit(7)
"""


def test_a_process_outlives_who_reads_it() -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    assert process.stderr.readline() == "begun\n"

    process.stdout.close()
    process.stderr.close()
    process.stdin.close()

    assert process.wait(120) == 7
