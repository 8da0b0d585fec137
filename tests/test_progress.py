"""Progress bars."""

import faulthandler
import os
import signal
import threading

from mcfast.progress import bar
from served import status_of, telling


def test_a_killed_child_keeps_no_lock_from_the_others():
    with bar(1, "before") as shown:
        lock = type(shown).get_lock()

    def hold(tell):
        type(bar(1, "child")).get_lock().acquire()
        tell("held")
        signal.pause()

    faulthandler.dump_traceback_later(60, exit=True)
    with lock:  # a child does not wait for what other threads held when it was forked
        made = []
        thread = threading.Thread(target=lambda: made.append(telling(hold)))
        thread.start()
        thread.join()
    child, told = made[0]
    with told:
        assert told.readline() == "held\n"
        os.kill(child, signal.SIGKILL)
        assert status_of(child) == -signal.SIGKILL
    with bar(1, "after") as shown:
        shown.update()
    faulthandler.cancel_dump_traceback_later()
