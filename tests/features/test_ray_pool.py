"""The Ray engine, on a cluster of two cores that the tests start: the same features as without it, whoever dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features import ray_pool
from hasvideo.features.fill import fill
from hasvideo.features.make import Extraction, split_engine
from hasvideo.features.ray_pool import _choose_device, _share, run_on_ray
from tests.colours import paint_video
from tests.features.fragile import check_the_rest_went_on, die

ray = pytest.importorskip("ray")

DIES_ONCE = Extraction("tests.features.fragile:DiesOnceExtractor", engine="ray")
FRAGILE = Extraction("tests.features.fragile:FragileExtractor", engine="ray")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster():
    """Its HOST:PORT; the tests' process is connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
        for name, value in settings.items():
            patch.setenv(name, value)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {name: paint_video(folder / f"{name}.mp4", name) for name in ("black", "blue", "green", "red")}


@pytest.fixture
def no_session(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def contents(folder):
    return {path.name: path.read_bytes() for path in (*folder.glob("[!.]*.npy"), folder / "features.json")}


def test_the_same_bytes_as_without_ray_though_a_worker_was_killed(cluster, videos, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    given = {**videos, "bad": tmp_path / "bad.mp4"}
    how = replace(DIES_ONCE, weights=tmp_path / "died")
    found = fill(tmp_path / "ray", given, how, workers=3, progress=False)  # of whom two find room
    assert (tmp_path / "died").exists()
    here = fill(tmp_path / "here", given, replace(how, engine="torch"), progress=False)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    assert found.failed == here.failed
    assert set(found.failed) == {"bad"}
    assert sorted((r.id, r.sha256) for r in found.made) == sorted((r.id, r.sha256) for r in here.made)
    assert len((tmp_path / "ray" / "manifest.jsonl").read_text().splitlines()) == 5


def test_a_video_that_kills_every_worker_is_listed_and_the_rest_goes_on(cluster, videos, tmp_path):
    found = fill(tmp_path / "f", videos, FRAGILE, workers=2, progress=False)
    check_the_rest_went_on(found, why="blue.mp4: 3 workers were lost at it: ")


def test_a_full_disk_stops_all_and_keeps_what_is_finished(cluster, videos, tmp_path):
    how = replace(FRAGILE, extractor="tests.features.fragile:DiskFullExtractor")
    with pytest.raises(HasvideoError, match=r"cannot write .*\.npy: No space left on device"):
        fill(tmp_path / "f", videos, how, progress=False)
    assert len(contents(tmp_path / "f")) == 2  # one video, and features.json
    (tmp_path / "died").touch()
    later = fill(tmp_path / "f", videos, replace(DIES_ONCE, weights=tmp_path / "died"), progress=False)
    assert (len(later.made), later.kept, later.failed) == (3, 1, {})


def test_what_no_worker_can_do_is_one_error(cluster, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_pool, "RETRIES", 0)
    with pytest.raises(UsageError, match="cannot be loaded"):
        fill(tmp_path / "f", videos, replace(FRAGILE, extractor="no.such:Thing"), progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(HasvideoError, match="cannot write"):
        fill(tmp_path / "file" / "f", videos, FRAGILE, progress=False)
    with pytest.raises(HasvideoError, match="Ray lost its workers before they were ready"):
        list(run_on_ray(die, [1]))


def test_the_command_says_what_it_did_and_not_what_ray_has_to_say(cluster, videos, tmp_path):
    command = [sys.executable, "-m", "hasvideo.extract", *map(str, videos.values()), "-o", "f", "--quiet", "--engine",
               "ray+torch", "--ray-address", cluster, "--extractor", FRAGILE.extractor]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "f: features of 2 videos made, 0 were there, 2 failed (f/failed.csv says why)\n"
    assert [line.partition(" /")[0] for line in done.stderr.splitlines()] == ["hasvideo: error:"] * 2
    assert done.returncode == 1
    lines = map(json.loads, (tmp_path / "f" / "manifest.jsonl").read_text().splitlines())
    assert {line["path"] for line in lines} == set(map(str, videos.values()))


@pytest.mark.parametrize(("address", "error", "message"), [
    ("127.0.0.1:1", HasvideoError, "no Ray cluster at --ray-address 127.0.0.1:1: .*refused"),
    ("no-such-host.invalid:6379", HasvideoError, "no Ray cluster at --ray-address no-such-host"),
    ("somewhere", UsageError, "--ray-address is auto, local or HOST:PORT, got 'somewhere'"),
    ("ray://somewhere:10001", UsageError, "--ray-address is auto, local or HOST:PORT"),
    ("host:port", UsageError, "--ray-address is auto, local or HOST:PORT"),
])  # fmt: skip
def test_a_cluster_that_is_not_there(no_session, videos, tmp_path, address, error, message):
    began = time.monotonic()
    with pytest.raises(error, match=message):
        fill(tmp_path / "f", videos, replace(FRAGILE, ray_address=address), progress=False)
    assert time.monotonic() - began < 60


def test_what_is_no_cluster_is_one_line(no_session, monkeypatch, capfd, videos, tmp_path):
    def init(**_):
        os.write(2, b"once more\n")
        raise ConnectionError("Failed to connect\nto it")

    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(HasvideoError, match=f"at --ray-address {address}: Failed to connect to it .set RAY_AUTH_M"):
            fill(tmp_path / "f", videos, replace(FRAGILE, ray_address=address), progress=False)
    assert capfd.readouterr().err == ""


def test_auto_is_what_ray_takes_it_for(no_session, monkeypatch, videos, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(HasvideoError, match="no Ray cluster at --ray-address 127.0.0.1:1"):
        fill(tmp_path / "f", videos, FRAGILE, progress=False)


def test_a_cluster_that_crashed_is_not_waited_for(no_session, monkeypatch, videos, tmp_path):
    services = pytest.importorskip("ray._private.services")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda address: "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray would try for two minutes"))
    with pytest.raises(HasvideoError, match="no Ray cluster runs on this machine"):
        fill(tmp_path / "f", videos, FRAGILE, progress=False)


def test_without_ray(monkeypatch, videos, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'hasvideo\[ray\]'"):
        fill(tmp_path / "f", videos, FRAGILE, progress=False)


def test_names_of_engines(videos, tmp_path):
    assert [split_engine(name) for name in ("ray", "ray+openvino", "torch")] == [
        (True, "auto"), (True, "openvino"), (False, "torch"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="--ray-address is for --engine ray, not for --engine auto"):
        fill(tmp_path / "f", videos, replace(FRAGILE, engine="auto", ray_address="local"), progress=False)


def test_the_other_commands_take_it_too(no_session, videos, tmp_path):
    from hasvideo.train import main

    rows = (f"{name},{'dark' if name in ('black', 'blue') else 'light'}\n" for name in videos)
    (tmp_path / "labels.csv").write_text("video,label\n" + "".join(rows))
    with pytest.raises(HasvideoError, match="no Ray cluster at --ray-address 127.0.0.1:1"):
        main([*map(str, videos.values()), "--labels", str(tmp_path / "labels.csv"), "-o", str(tmp_path / "m.ckpt"),
              "--engine", "ray", "--ray-address", "127.0.0.1:1", "--holdout", "0"])  # fmt: skip


@pytest.mark.parametrize(("amounts", "workers", "device", "expected"), [
    ([{"CPU": 8}, {"CPU": 4.0}], None, "cpu", ({"num_cpus": 4}, 2)),
    ([{"CPU": 8}, {"CPU": 8}], 4, "cpu", ({"num_cpus": 4}, 4)),
    ([{"CPU": 2}], 5, "cpu", ({"num_cpus": 1}, 5)),
    ([{"CPU": 8, "GPU": 2}, {"CPU": 8}, {"CPU": 8, "GPU": 1}], None, "cuda", ({"num_gpus": 1, "num_cpus": 1}, 3)),
])  # fmt: skip
def test_workers_share_the_machines(amounts, workers, device, expected):
    nodes = [{"Alive": True, "Resources": a} for a in amounts] + [{"Alive": False, "Resources": {"CPU": 1}}]
    assert _share(nodes, workers, device) == expected


@pytest.mark.parametrize(("device", "engine", "gpus", "expected"), [
    ("auto", "ray", 1, "cuda"),
    ("auto", "ray", 0, "cpu"),
    ("auto", "ray+openvino", 1, "cpu"),
    ("cpu", "ray", 1, "cpu"),
    ("cuda", "ray", 0, "cuda"),
])  # fmt: skip
def test_auto_is_a_gpu_where_the_cluster_has_one(device, engine, gpus, expected):
    nodes = [{"Alive": True, "Resources": {"CPU": 8}}, {"Alive": True, "Resources": {"GPU": gpus}}]
    gone = {"Alive": False, "Resources": {"GPU": 8}}
    assert _choose_device([*nodes, gone], device, engine) == expected


@pytest.mark.parametrize(("device", "engine", "message"), [
    ("gpu", "ray", "unknown --device 'gpu'; accepted: auto, cpu, cuda"),
    ("cuda:1", "ray", "every worker has a GPU of its own, so give cuda"),
    ("cuda", "ray+openvino", "--engine ray.openvino computes on the CPU"),
])  # fmt: skip
def test_devices_that_no_cluster_has(device, engine, message):
    with pytest.raises(UsageError, match=message):
        list(run_on_ray(die, [1], device=device, engine=engine))


def test_a_cluster_without_what_the_device_needs():
    with pytest.raises(UsageError, match="--device cuda: no machine of the Ray cluster has a GPU"):
        _share([{"Alive": True, "Resources": {"CPU": 8}}], None, "cuda")
