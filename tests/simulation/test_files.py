"""PDE files: layout, reading, splits, resuming, fetching, and errors."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace

import h5py
import numpy as np
import psutil
import pytest
import requests
from threadpoolctl import threadpool_info

from replication.errors import ConfigError, DataError
from replication.settings.yamlfile import read_yaml
from replication.simulation import simulation
from replication.simulation.data import PDEFile, count_training_rows, held_out_rows, split
from replication.simulation.fetching import download, fetch
from replication.simulation.simulation import Simulation, check_datasets, simulate

FLOW = {"pde": "cfd1d", "samples": 20, "cells": 16, "stored_cells": 8, "frames": 4, "t_end": 0.1, "seed": 5}
DARCY = {"pde": "darcy", "samples": 5, "cells": 12, "seed": 5}
FLOW_2D = {"pde": "cfd2d", "samples": 2, "cells": 12, "frames": 3, "t_end": 0.05, "seed": 5}


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "data.h5"
    simulate(FLOW, path)
    return path


def test_the_layout_is_pdebenchs(flow, tmp_path):
    with h5py.File(flow) as file:
        assert {name: file[name].shape for name in ("density", "pressure", "Vx")} == dict.fromkeys(
            ("density", "pressure", "Vx"), (20, 4, 8)
        )
        assert file["density"].dtype == np.float32
        assert file["t-coordinate"].shape == (5,)  # one more than frames
        assert file["x-coordinate"][0] == pytest.approx(-1 + 1 / 8)
        assert dict(file.attrs) == {"eta": 0.01, "zeta": 0.01}
    simulate(DARCY, tmp_path / "darcy.h5")
    with h5py.File(tmp_path / "darcy.h5") as file:
        assert file["tensor"].shape == (5, 1, 12, 12)
        assert file["nu"].shape == (5, 12, 12)
        assert file.attrs["beta"] == 100
    simulate(FLOW_2D, tmp_path / "flow2d.h5")
    with PDEFile(tmp_path / "flow2d.h5") as file:
        assert file.fields == ("density", "pressure", "Vx", "Vy")
        assert file.read([1, 0]).shape == (2, 12, 12, 3, 4)
        assert file.grid().shape == (12, 12, 2)


def test_the_batched_solver_writes_the_same_data(flow, tmp_path):
    simulate({**FLOW, "solver": "torch"}, tmp_path / "batched.h5")
    with PDEFile(flow) as one, PDEFile(tmp_path / "batched.h5") as other:
        np.testing.assert_allclose(one.read(range(20)), other.read(range(20)), rtol=1e-4)
    assert json.loads((tmp_path / "batched.h5.json").read_text())["options"]["solver"] == "torch"
    with pytest.raises(ConfigError, match="key 'solver' is 'torch', expected numba for darcy"):
        simulate({**DARCY, "solver": "torch"}, tmp_path / "darcy.h5")


def test_a_sample_does_not_depend_on_other_samples(flow, tmp_path):
    simulate({**FLOW, "samples": 3}, tmp_path / "few.h5")
    with PDEFile(flow) as many, PDEFile(tmp_path / "few.h5") as few:
        np.testing.assert_array_equal(many.read([0, 1, 2]), few.read([0, 1, 2]))
    simulate({**FLOW, "samples": 3, "seed": 6}, tmp_path / "other.h5")
    with PDEFile(tmp_path / "few.h5") as one, PDEFile(tmp_path / "other.h5") as two:
        assert not np.array_equal(one.read([0]), two.read([0]))


KILLED = """
import sys
from pathlib import Path
from replication.simulation.simulation import simulate
if __name__ == "__main__":
    simulate(eval(sys.argv[1]), Path(sys.argv[2]), workers=2)
"""


def test_a_killed_simulation_resumes_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    options = {**FLOW, "samples": 8 * simulation.CHUNK, "cells": 128, "t_end": 0.3}
    path = tmp_path / "data.h5"
    (tmp_path / "run.py").write_text(KILLED)
    with subprocess.Popen([sys.executable, tmp_path / "run.py", repr(options), path]) as process:
        while not list(tmp_path.glob("*.parts-*/*.npz")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children()
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers of a killed simulation must not compute on"
    assert not path.exists()
    there = {int(part.stem) for part in tmp_path.glob("*.parts-*/*.npz")}
    again = []

    def counted(settings, sample):
        again.append(sample)
        return simulation._flow(settings, sample)

    monkeypatch.setattr(simulation, "PDES", {"cfd1d": counted})
    simulate(options, path)
    missing = set(range(0, options["samples"], simulation.CHUNK)) - there
    assert missing
    assert {sample - sample % simulation.CHUNK for sample in again} == missing, "finished chunks must not be repeated"
    simulate(options, tmp_path / "whole.h5", workers=2)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not list(tmp_path.glob("*.parts*"))


def test_two_workers_give_the_same_file(flow, tmp_path):
    simulate(FLOW, tmp_path / "data.h5", workers=2)
    assert (tmp_path / "data.h5").read_bytes() == flow.read_bytes()


def threads_of_libraries(_):
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own
    import torch

    return {pool["num_threads"] for pool in threadpool_info()} | {torch.get_num_threads()}


def test_a_worker_uses_one_thread(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(threads_of_libraries, 0).result() == {2}, "without a limit the test says nothing"
    with ProcessPoolExecutor(1, mp_context=context, initializer=simulation._start_worker) as pool:
        assert pool.submit(threads_of_libraries, 0).result() == {1}


def test_the_manifest_has_the_hash_of_the_file(flow):
    manifest = json.loads((flow.parent / "data.h5.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(flow.read_bytes()).hexdigest()
    assert manifest["rows"] == 20


def test_reading_gives_the_requested_rows_in_their_order(flow):
    with h5py.File(flow) as raw, PDEFile(flow) as file:
        values = file.read([7, 2, 7], resolution=2, time_stride=3)
        assert values.shape == (3, 4, 2, 3)
        np.testing.assert_array_equal(values[0, :, :, 0], raw["density"][7, ::3, ::2].T)
        np.testing.assert_array_equal(values[1, :, 1, 2], raw["Vx"][2, 3, ::2])
        np.testing.assert_array_equal(values[0], values[2])
        with pytest.raises(DataError, match="row 20 was requested, but the file has 20 rows"):
            file.read([20])


@pytest.mark.parametrize(("fine", "coarse"), [("1dcfd", "1dcfd-128"), ("1dcfd-sim256", "1dcfd-sim128")])
def test_both_readings_of_1d_flow_are_one_file_at_two_strides(flow, root, fine, coarse):
    datasets = read_yaml(root / "catalog/datasets-sciml.yaml")["datasets"]
    same = set(datasets[fine]) - {"title", "published_as", "reduced_resolution"}
    assert {key: datasets[fine][key] for key in same} == {key: datasets[coarse][key] for key in same}
    assert datasets[coarse]["published_as"] == "1dcfd"
    assert [1024 // datasets[name]["reduced_resolution"] for name in (fine, coarse)] == [256, 128]
    with PDEFile(flow) as file:
        np.testing.assert_array_equal(file.read([3], resolution=2)[:, ::2], file.read([3], resolution=4))
        np.testing.assert_array_equal(file.grid(resolution=2)[::2], file.grid(resolution=4))


def test_the_first_rows_test_the_next_validate_the_rest_trains(flow):
    parts = split(20, {"test_samples": 4, "validation_samples": 3})
    assert parts.test.tolist() == [0, 1, 2, 3]
    assert parts.validation.tolist() == [4, 5, 6]
    assert parts.train.tolist() == list(range(7, 20))
    assert count_training_rows(flow, {"test_samples": 4, "validation_samples": 3}) == 13
    assert held_out_rows(flow, {"test_samples": 4, "validation_samples": 3}) == []
    with pytest.raises(ConfigError, match="leave 1 of 20 rows"):
        split(20, {"test_samples": 10, "validation_samples": 9})
    with pytest.raises(ConfigError, match="test_samples"):
        split(20, {"test_samples": 0})


def test_every_second_row_of_a_published_file_is_held_out(flow):
    options = {"source": "pdebench", "test_samples": 4, "validation_samples": 3}
    parts = split(20, options)
    assert parts.validation.tolist() == [5, 7, 9]
    assert parts.train.tolist() == [4, 6, 8, *range(10, 20)]
    assert held_out_rows(flow, options) == [1, 3, 5]


def damaged(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def set_nan(file):
    file["pressure"][3, 1, 2] = np.nan


def replace(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.__delitem__("Vx"), "data set 'Vx' is missing"),
        (set_nan, "data set 'pressure', row 3 has values that are not finite"),
        (replace("density", np.zeros((20, 3, 8), "f4")), r"\[20, 4, 8\], but 'density' is \[20, 3, 8\]"),
        (replace("density", np.zeros((20, 4), "f4")), "data set 'density' is float32"),
        (replace("density", np.zeros((20, 4, 8), "i4")), "data set 'density' is int32"),
    ],
)
def test_foreign_and_damaged_files_are_named(flow, tmp_path, change, words):
    path = tmp_path / "bad.h5"
    path.write_bytes(flow.read_bytes())
    damaged(path, change)
    with pytest.raises(DataError, match=words), PDEFile(path) as file:
        file.read(list(range(20)))


def test_truncated_missing_and_other_files_are_refused(flow, tmp_path):
    (tmp_path / "short.h5").write_bytes(flow.read_bytes()[:2000])
    (tmp_path / "text.h5").write_text("not HDF5")
    for name, words in (("short.h5", "not a readable HDF5"), ("text.h5", "not a readable HDF5"), ("no.h5", "no such")):
        with pytest.raises(DataError, match=words):
            PDEFile(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pde": "burgers"}, "'pde' is 'burgers', expected one of cfd1d, cfd2d, darcy"),
        ({"samples": 0}, "'samples' is 0"),
        ({"samples": 2.5}, "'samples' is 2.5, expected a whole number"),
        ({"stored_cells": 7}, "expected a divisor of cells"),
        ({"eta": -1.0}, "'eta' is -1.0"),
        ({"lowest_level": 11.0}, "'lowest_level' is 11.0, expected at most highest_level"),
        ({"t_end": 0.0}, "'t_end' is 0.0"),
        ({"cells": "many"}, "'cells' is 'many'"),
        ({"seed": True}, "'seed' is True"),
    ],
)
def test_bad_simulation_options_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        Simulation.from_options({**FLOW, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": "many"}, "data set flow: simulation: key 'samples' is 'many', expected a whole number"),
        ({"test_samples": "none"}, "data set flow: data set option 'test_samples' is 'none', expected a whole number"),
        ({"strides": "many"}, "data set flow: key 'strides' is 'many', expected a stride for each data ratio"),
        ({"strides": {"0.5": 0}}, "data set flow: stride of data ratio '0.5' is 0, expected a whole number"),
    ],
)
def test_options_of_data_sets_are_checked_before_the_first_job(change, words):
    families = {"flow": "sciml", "texts": "nlp"}
    good = {"flow": {**FLOW, "source": "simulate", "test_samples": 4}, "texts": {"source": {"file": "texts.csv"}}}
    check_datasets(SimpleNamespace(families=families, datasets=good))
    with pytest.raises(ConfigError, match=words):
        check_datasets(SimpleNamespace(families=families, datasets={**good, "flow": good["flow"] | change}))


class Server:
    """Answers like ``requests.get``, with ranges, and can break off."""

    def __init__(self, content, *, breaks_at=None, ranges=True, status=None):
        self.content, self.breaks_at, self.ranges, self.status = content, breaks_at, ranges, status
        self.asked = []

    def __call__(self, url, *, stream, timeout, headers):
        self.asked.append(headers.get("Range"))
        start = int(headers["Range"][6:-1]) if "Range" in headers and self.ranges else 0
        server = self

        class Response:
            status_code = server.status or (206 if start else 200)
            headers = {"Content-Length": str(len(server.content) - start)}  # noqa: RUF012

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def iter_content(self, _):
                end = server.breaks_at or len(server.content)
                yield server.content[start:end]
                if server.breaks_at:
                    raise requests.ConnectionError

        return Response()


def test_a_download_is_resumed_and_checked(flow, tmp_path, monkeypatch):
    content = flow.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    target = tmp_path / "file.h5"
    monkeypatch.setattr(requests, "get", Server(content, breaks_at=1000))
    with pytest.raises(DataError, match=r"cannot be downloaded \(ConnectionError\)"):
        download("https://x", target, md5)
    server = Server(content)
    monkeypatch.setattr(requests, "get", server)
    download("https://x", target, md5)
    assert server.asked == ["bytes=1000-"]
    assert target.read_bytes() == content


def test_a_server_without_ranges_starts_again(flow, tmp_path, monkeypatch):
    content = flow.read_bytes()
    (tmp_path / "file.h5.partial").write_bytes(b"half")
    monkeypatch.setattr(requests, "get", Server(content, ranges=False, status=200))
    download("https://x", tmp_path / "file.h5", hashlib.md5(content).hexdigest())
    assert (tmp_path / "file.h5").read_bytes() == content


def test_a_wrong_checksum_and_a_refusal_are_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "get", Server(b"content"))
    with pytest.raises(DataError, match=r"expected 00; it was deleted"):
        download("https://x", tmp_path / "file.h5", "00")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(requests, "get", Server(b"", status=404))
    with pytest.raises(DataError, match="answered 404"):
        download("https://x", tmp_path / "file.h5", "00")


def test_a_file_of_the_users_own_is_copied_and_not_linked(flow, tmp_path):
    own = tmp_path / "mine.h5"
    shutil.copyfile(flow, own)
    options = {"source": "file", "file": str(own)}
    fetch(options, tmp_path / "data/data.h5")
    assert not own.samefile(tmp_path / "data/data.h5")
    assert json.loads((tmp_path / "data/data.h5.json").read_text())["rows"] == 20
    own.unlink()
    with pytest.raises(DataError, match=r"mine\.h5: no such file; data set option 'file' names it"):
        fetch(options, tmp_path / "data/data.h5")
    with pytest.raises(DataError, match="no such file; data set option 'file' names it"):
        fetch({"source": "file"}, tmp_path / "data/data.h5")


def test_the_users_own_copy_is_taken_from_its_folder(flow, tmp_path):
    content = flow.read_bytes()
    own = tmp_path / "own"
    own.mkdir()
    options = {"file": "f.hdf5", "url": "https://x/f", "md5": hashlib.md5(content).hexdigest()}
    with pytest.raises(DataError, match=r"f\.hdf5: no such file"):
        fetch(options, tmp_path / "data.h5", folder=own)
    (own / "f.hdf5").write_bytes(content)
    fetch(options, tmp_path / "data.h5", folder=own)
    assert (tmp_path / "data.h5").read_bytes() == content
    (own / "f.hdf5").write_bytes(content[:-1])
    with pytest.raises(DataError, match="damaged or not the published file"):
        fetch(options, tmp_path / "data.h5", folder=own)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"url": "http://x/f"}, "https"), ({"file": "../../f"}, "plain file name"), ({"md5": None}, "missing")],
)
def test_bad_sources_are_refused(tmp_path, change, words):
    options = {"file": "f", "url": "https://x/f", "md5": "0", **change}
    options = {key: value for key, value in options.items() if value is not None}
    with pytest.raises(ConfigError, match=words):
        fetch(options, tmp_path / "data.h5")
