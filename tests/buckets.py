"""A real S3 server on this host, and buckets of it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from uuid import uuid4

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "verySecretKey123456",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def server(port=0):
    """Run the server; yields its address and its process."""
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}/moto-api/", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, "the S3 server ended"
                assert time.monotonic() < until, "the S3 server gave no answer"
                time.sleep(0.05)
        yield address, process
    finally:
        process.kill()
        process.wait()


def environment(address):
    return CREDENTIALS | {"AWS_ENDPOINT_URL": address}


def make_bucket(address):
    """Make a bucket; gives the URL of a place in it."""
    name = f"lineage-{uuid4().hex[:12]}"
    request = urllib.request.Request(f"{address}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        return f"s3://{name}/some/place"
