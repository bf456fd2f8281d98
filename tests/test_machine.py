"""What a program runs on, read from files that are made up."""

import os

import pytest

from lineage.machine import machine

DIGITS = "0123456789abcdef" * 4


def made(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return machine(root)


@pytest.fixture(autouse=True)
def _no_kubernetes(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_processor_and_memory(tmp_path):
    found = made(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nmodel name\t: Quick 9000 @ 3 GHz\nmodel name\t: x\n",
            "sys/fs/cgroup/memory.max": "1073741824\n",
        },
    )
    assert found["cpu"] == "Quick 9000 @ 3 GHz"
    assert found["cpu_count"] == os.cpu_count()
    assert found["memory_bytes"] > 1 << 20
    assert found["memory_limit_bytes"] == 1 << 30
    assert "container" not in found
    assert "gpus" not in found


@pytest.mark.parametrize(
    ("files", "kind", "number"),
    [
        ({".dockerenv": "", "proc/self/cgroup": f"0::/docker/{DIGITS}\n"}, "docker", DIGITS),
        ({"run/.containerenv": ""}, "podman", None),
        (
            {"proc/self/mountinfo": f"1 /containers/{DIGITS}/hosts /etc/hosts", ".dockerenv": ""},
            "docker",
            DIGITS,
        ),
        ({"proc/self/cgroup": f"0::/lxc/{DIGITS}"}, "container", DIGITS),
    ],
)
def test_containers(tmp_path, files, kind, number):
    found = made(tmp_path, files)
    assert found["container"] == kind
    assert found.get("container_id") == number


def test_kubernetes(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert made(tmp_path, {})["container"] == "kubernetes"


def test_gpus(tmp_path):
    driver = "proc/driver/nvidia"
    found = made(
        tmp_path,
        {
            f"{driver}/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA A100\nIRQ: 5\n",
            f"{driver}/gpus/0000:02:00.0/information": b"\xff\0",
            f"{driver}/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  x\n",
        },
    )
    assert found["gpus"] == ["NVIDIA A100", "unknown"]
    assert found["gpu_driver"] == "535.54.03"


def test_what_cannot_be_read_is_left_out(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError

    monkeypatch.setattr(os, "sysconf", fail)
    monkeypatch.setattr(os, "sched_getaffinity", fail, raising=False)
    found = made(tmp_path, {"proc/cpuinfo": b"\xff" * 100, "sys/fs/cgroup/memory.max": "max\n"})
    assert set(found) == {"cpu_count"}


def test_this_one():
    assert machine()["cpu_count"] == os.cpu_count()
