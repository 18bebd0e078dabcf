from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prolab_model.config_file import ConfigError, read_config

REPOSITORY = Path(__file__).resolve().parents[2]
OUR_CONFIGS = sorted([*REPOSITORY.glob("configs/datasets/*.py"), *REPOSITORY.glob("configs/models/*.py")])


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("path", OUR_CONFIGS, ids=lambda path: path.stem)
def test_our_configs_read_as_mmcv_reads_them(path):
    mmcv = pytest.importorskip("mmcv")

    assert read_config(path) == mmcv.Config.fromfile(path)._cfg_dict


def test_inheritance_is_mmcvs(write):
    mmcv = pytest.importorskip("mmcv")
    write(
        "base/model.py",
        "import math\nmodel = dict(head=dict(type='A', channels=8, norm=dict(type='BN')), depth=(1, 2))",
    )
    write("base/data.py", "data = dict(train=dict(img_dir='a'), workers=2)\ncrop = (4, 4)")
    middle = write("middle.py", "_base_ = ['base/model.py', 'base/data.py']\nmodel = dict(head=dict(channels=16))")
    child = write(
        "sub/child.py",
        "_base_ = '../middle.py'\n"
        "model = dict(head=dict(norm=dict(_delete_=True, kind='LN')), depth=[3], new=dict(a=dict(b=1)))\n"
        "crop = None\n"
        "def helper():\n    return 1\n",
    )

    for path in (middle, child):
        assert read_config(path) == mmcv.Config.fromfile(path)._cfg_dict
    assert read_config(child)["model"] == {
        "head": {"type": "A", "channels": 16, "norm": {"kind": "LN"}},
        "depth": [3],
        "new": {"a": {"b": 1}},
    }


def test_bases_stay_as_they_are(write):
    base = write("base.py", "model = dict(head=dict(channels=8))")
    child = write("child.py", "_base_ = 'base.py'\nmodel = dict(head=dict(channels=16))")

    assert read_config(child)["model"]["head"]["channels"] == 16
    assert read_config(base)["model"]["head"]["channels"] == 8


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.py": "_base_ = 'gone.py'"}, r"not found: .*gone\.py"),
        ({"a.py": "x = (1"}, r"a\.py: the file does not run: SyntaxError"),
        ({"a.py": "x = undefined"}, r"a\.py: the file does not run: NameError"),
        ({"a.py": "_base_ = ['b.py', 'c.py']", "b.py": "x = 1", "c.py": "x = 2"}, r"a\.py: two files .* define x"),
        (
            {"a.py": "_base_ = 'b.py'\nx = dict(y=1)", "b.py": "x = 1"},
            r"a\.py: x is a dictionary here and int in _base_",
        ),
        ({"a.py": "_base_ = 'b.py'", "b.py": "_base_ = 'a.py'"}, r"a\.py: the file is its own _base_"),
    ],
)
def test_errors_name_the_file(write, tmp_path, files, message):
    for name, text in files.items():
        write(name, text)

    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "a.py")


def test_only_python_files_are_read(write):
    with pytest.raises(ConfigError, match=r"expected a Python configuration file \(\.py\), got '\.yaml'"):
        read_config(write("a.yaml", "x: 1"))


def test_reading_imports_neither_mmcv_nor_torch():
    program = (
        "import sys\n"
        "from prolab_model.dataset_config import read_dataset_config\n"
        f"read_dataset_config({str(REPOSITORY / 'configs/datasets/camvid.py')!r})\n"
        "print(sorted({'mmcv', 'mmseg', 'torch', 'cv2', 'matplotlib'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
