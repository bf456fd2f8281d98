"""The S3 server of the tests, which answers one write at a time.

moto looks at `If-Match` and then stores, with nothing in between that keeps others out, so that two
conditional puts at once can both be told that they succeeded. S3 itself lets one of them win.
"""

import sys
import threading

from moto import server

_writing = threading.Lock()
_run = server.run_simple


def one_write_at_a_time(host, port, app, **options):
    """Run the server with reads as they come, and all else one by one."""

    def answer(environ, start):
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start)
        with _writing:
            return list(app(environ, start))

    _run(host, port, answer, **options)


if __name__ == "__main__":
    server.run_simple = one_write_at_a_time
    server.main(sys.argv[1:])
