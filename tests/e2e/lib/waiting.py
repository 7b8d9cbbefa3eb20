"""Deadlines: nothing in a test waits without one, and nothing sleeps instead."""
import time


def wait_until(condition, timeout=120, what="a condition", interval=0.05):
    """Calls condition until it returns something true, and returns that; after `timeout` seconds
    an AssertionError that says what was waited for."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what} (last: {result!r})")
        time.sleep(interval)
