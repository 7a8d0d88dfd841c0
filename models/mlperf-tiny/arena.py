"""The smallest arena in which TensorFlow Lite Micro allocates a model, of the host's build of its interpreter.

Run with tflite-micro 0.dev20261023182759:
    python arena.py FILE.tflite...     # bytes, one line a file
By bisection, as an arena of N bytes either suffices or is refused. Pointers are 8 bytes there, and the structures that
hold them lie in the arena: a build for a microcontroller takes less.
"""
import sys
from tflite_micro.python.tflite_micro import runtime


def suffices(model, n):
    try:
        runtime.Interpreter.from_bytes(model, arena_size=n).invoke()
        return True
    except RuntimeError:
        return False


for file in sys.argv[1:]:
    model = open(file, "rb").read()
    low, high = 0, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(model, middle) else (middle, high)
    print(file, high)
