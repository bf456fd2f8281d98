"""Servers of objects on this host, and buckets of them: S3, Azure, and a stand-in for Google's."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

HERE = Path(__file__).parent
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "verySecretKey123456",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def server(port=0):
    """Run the server; yields its address and its process."""
    port = port or free_port()
    command = [
        sys.executable,
        "-P",
        str(HERE / "object_server.py"),
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with _started(command, f"http://127.0.0.1:{port}", "/moto-api/") as process:
        yield f"http://127.0.0.1:{port}", process


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def _started(command, address, path):
    """Run a server; yields its process when it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}{path}", timeout=5):
                    break
            except urllib.error.HTTPError as refused:  # it answers
                refused.close()
                break
            except OSError:
                assert process.poll() is None, f"{command} ended"
                assert time.monotonic() < until, f"{command} gave no answer"
                time.sleep(0.05)
        yield process
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


# --- Azure ---------------------------------------------------------------------------------------

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"a key for tests only, of 64 bytes".ljust(64, b".")).decode()


def azurite():
    """Give the path of the program `azurite-blob`; None when it is not there."""
    return shutil.which("azurite-blob")


@contextmanager
def azure_server():
    """Run Azurite, which emulates Azure Blob Storage; yields its address."""
    port = free_port()
    with TemporaryDirectory() as folder:
        command = [azurite(), "--silent", "--location", folder, "--blobPort", str(port)]
        command += ["--skipApiVersionCheck", "--disableTelemetry"]
        accounts = os.environ.get("AZURITE_ACCOUNTS")
        os.environ["AZURITE_ACCOUNTS"] = f"{ACCOUNT}:{KEY}"
        try:
            with _started(command, f"http://127.0.0.1:{port}", "/") as _:
                yield f"http://127.0.0.1:{port}"
        finally:
            os.environ.pop("AZURITE_ACCOUNTS")
            if accounts is not None:
                os.environ["AZURITE_ACCOUNTS"] = accounts


def azure_environment(address):
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": f"{address}/{ACCOUNT}",
    }


def make_container(address):
    """Make a container, by a request that is signed as Azure wants it; gives a URL in it."""
    name, date, version = f"lineage-{uuid4().hex[:12]}", formatdate(usegmt=True), "2021-08-06"
    text = "PUT" + 12 * "\n" + f"x-ms-date:{date}\nx-ms-version:{version}\n"
    text += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"{address}/{ACCOUNT}/{name}?restype=container",
        method="PUT",
        data=b"",
        headers={
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
            "Content-Type": "",
        },
    )
    with urllib.request.urlopen(request, timeout=10):
        return f"az://{name}/some/place"


# --- Google --------------------------------------------------------------------------------------


def google_environment(address):
    account = {"gcs_base_url": address, "disable_oauth": True}
    account |= {"client_email": "", "private_key": "", "private_key_id": ""}
    return {"GOOGLE_BASE_URL": address, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


def make_google_bucket(server):
    """Make a bucket of the stand-in; gives the URL of a place in it."""
    name = f"lineage-{uuid4().hex[:12]}"
    server.buckets[name] = {}
    return f"gs://{name}/some/place"
