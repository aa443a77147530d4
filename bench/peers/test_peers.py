"""Tests of the peers' records; what needs PyTorch runs where it is installed."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import record  # noqa: E402
import torch_device  # noqa: E402


class RecordTest(unittest.TestCase):
    def setUp(self):
        self.w = record.workload(1, 2, 24, 8, 0.5, True)
        self.qkv = record.inputs(self.w)

    def test_exact_row_of_one_key_is_its_value(self):
        q, k, v = self.qkv
        np.testing.assert_allclose(record.exact_row(self.w, q, k, v, 0, "lla"), v[0, 0, 0], rtol=1e-6)

    def test_large_ridge_is_softmax(self):
        wide = {**self.w, "ridge": 1e12}
        for row in (5, 30, 47):
            np.testing.assert_allclose(record.exact_row(wide, *self.qkv, row, "lla"),
                                       record.exact_row(wide, *self.qkv, row, "softmax"), rtol=1e-9, atol=1e-12)

    def test_small_ridge_reproduces_affine_values(self):
        # the fit is affine: without a ridge it returns an affine function of the key exactly
        q, k, _ = self.qkv
        v = (k.astype(np.float64) @ np.arange(64).reshape(8, 8) / 64 + 3)
        small = {**self.w, "ridge": 1e-12}
        o = record.exact_row(small, q, k, v, 23, "lla")
        np.testing.assert_allclose(o, q[0, 0, 23].astype(np.float64) @ np.arange(64).reshape(8, 8) / 64 + 3, rtol=1e-6)

    def test_accuracy_tells_right_from_wrong(self):
        want = np.stack([record.exact_row(self.w, *self.qkv, row, "lla") for row in range(48)]).reshape(1, 2, 24, 8)
        self.assertTrue(record.passed(record.accuracy(self.w, *self.qkv, want, "lla", 1e-6)))
        self.assertFalse(record.passed(record.accuracy(self.w, *self.qkv, want * 1.01, "lla", 1e-3)))
        self.assertFalse(record.passed(record.accuracy(self.w, *self.qkv, want * np.nan, "lla", 1e-3)))

    def test_energy_is_counted_between_steps(self):
        began = time.perf_counter()
        joules, runs, seconds = record.energy_window(lambda: int((time.perf_counter() - began) / 0.05) * 2.5, 0.2, lambda: time.sleep(0.01))
        self.assertAlmostEqual(50, joules / seconds, delta=12)  # 50 W
        self.assertTrue(0 < runs * 0.01 <= seconds, (runs, seconds))
        self.assertIsNone(record.energy_window(lambda: 3.0, 0.02, lambda: time.sleep(0.005)))

    def test_state_is_what_the_library_tells(self):
        library = mock.Mock()
        for name in ("nvmlInit_v2", "nvmlDeviceGetHandleByIndex_v2"):
            getattr(library, name).return_value = 0

        def tell(value, status=0):
            def call(*arguments):
                arguments[-1]._obj.value = value
                return status
            return call

        library.nvmlSystemGetDriverVersion.side_effect = lambda text, length: setattr(text, "value", b"580.1") or 0
        library.nvmlDeviceGetEnforcedPowerLimit.side_effect = tell(700_000)
        library.nvmlDeviceGetClockInfo.side_effect = tell(345)
        library.nvmlDeviceGetMaxClockInfo.side_effect = tell(1980)
        library.nvmlDeviceGetTemperature.side_effect = tell(38, status=3)  # not supported
        library.nvmlDeviceGetEccMode.side_effect = lambda handle, now, then: setattr(now._obj, "value", 1) or 0
        with mock.patch("ctypes.CDLL", return_value=library):
            self.assertEqual({"driver_version": "580.1", "power_limit_watts": 700.0, "clock_mhz": 345, "max_clock_mhz": 1980,
                              "memory_clock_mhz": 345, "ecc": True}, record.nvml_state(0))
        with mock.patch("ctypes.CDLL", side_effect=OSError):
            self.assertIsNone(record.nvml_state(0))

    def test_work_is_the_operators_count(self):
        self.assertEqual(record.pairs(self.w), 2 * 24 * 25 // 2)
        self.assertEqual(record.lla_flops(self.w, 3 * record.pairs(self.w)), 28 * 8 * record.pairs(self.w))


class RunTest(unittest.TestCase):
    def run_peers(self, *args, **env):
        return subprocess.run([sys.executable, str(HERE / "run.py"), *args], capture_output=True, text=True, timeout=240,
                              env={**os.environ, **env})

    def test_absent_peers_are_a_line_and_no_error(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "torch.py").write_text("raise ImportError('hidden by the test')\n")
            result = self.run_peers("--seq", "32", PYTHONPATH=folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("not here: cannot import PyTorch"), 3, result.stderr)

    def test_mistakes_are_usage_errors(self):
        for args in (["--peer", "nobody"], ["--seq", "lots"], ["--seq", "-5"], ["-r", "0"]):
            result = self.run_peers(*args)
            self.assertEqual(result.returncode, 2, args)

    @unittest.skipIf(torch_device.absent(), "PyTorch is not installed")
    def test_cpu_peers_write_a_record(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "peers.json")
            result = self.run_peers("--peer", "torch-lla,torch-sdpa", "--seq", "64,300", "--heads", "2", "--head-dim", "16",
                                    "-r", "2", "--sample", "0", "--warm-up", "0.1", "--tol", "1e-5", "--record", str(file))
            self.assertEqual(result.returncode, 0, result.stderr)
            content = json.loads(file.read_text())
        self.assertTrue(content["complete"])
        self.assertEqual([row["status"] for row in content["measurements"]], ["ok"] * 4, result.stderr)
        for row in content["measurements"]:
            self.assertLess(row["accuracy"]["error"], 1e-4)
            self.assertEqual(len(row["times"]["wall_ns"]), 2)
        self.assertGreater(content["measurements"][0]["solve"]["max_iterations"], 2)


if __name__ == "__main__":
    unittest.main()
