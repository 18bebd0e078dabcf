from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from prolab_model.bank import Bank, bank_from_properties, find_bank, match_names, read_bank, read_properties, write_bank
from prolab_model.label_space import PropertyLabelSpace

KEY = "bge-base-en-v1.5_gpt3.5_cluster_3_embeddings_and_labels"
CENTRES = np.arange(12, dtype=np.float32).reshape(4, 3) + 1  # (D, K)
LABELS = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float64)  # (K, N)
DESCRIPTIONS = {"wall": ["flat", "vertical"], "bed ": ["soft"]}


def released(**changes: Any) -> dict[str, Any]:
    return {"descriptions": DESCRIPTIONS, KEY: [CENTRES, LABELS], **changes}


@pytest.mark.parametrize("as_tensors", [False, True], ids=["numpy", "torch"])
@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_released_file_is_read(tmp_path: Path, as_tensors: bool, zipped: bool) -> None:
    values = [torch.from_numpy(CENTRES), torch.from_numpy(LABELS)] if as_tensors else [CENTRES, LABELS]
    torch.save(released(**{KEY: values}), tmp_path / "bank.pth", _use_new_zipfile_serialization=zipped)
    bank = read_bank(tmp_path / "bank.pth")
    assert torch.equal(bank.centres, torch.from_numpy(CENTRES.T))
    assert torch.equal(bank.class_matrix, torch.tensor([[1.0, 1, 0], [0, 1, 1]]))
    assert (bank.centres.dtype, bank.class_matrix.dtype) == (torch.float32, torch.float32)
    assert bank.classes == ("wall", "bed ")
    assert bank.properties is None


def test_file_that_numpy_1_wrote_is_read(tmp_path: Path) -> None:
    torch.save(released(), tmp_path / "bank.pth", pickle_module=_OldNames)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "bank.pth")
    assert "numpy.core.multiarray._reconstruct" in names
    assert torch.equal(read_bank(tmp_path / "bank.pth").centres, torch.from_numpy(CENTRES.T))


class _OldNames:
    """Stands for `pickle` in `torch.save`, and names NumPy's functions as NumPy 1 did."""

    dumps = pickle.dumps
    HIGHEST_PROTOCOL = pickle.HIGHEST_PROTOCOL

    # The pickler written in Python, which the stubs do not know: of the other one a function cannot be replaced.
    class Pickler(pickle._Pickler):  # type: ignore[name-defined]
        def __init__(self, file: io.BytesIO, protocol: int) -> None:
            super().__init__(file, protocol)

        def save_global(self, value: Any, name: str | None = None) -> None:
            module = getattr(value, "__module__", None) or ""
            if module.startswith("numpy._core"):
                self.write(f"c{module.replace('numpy._core', 'numpy.core')}\n{value.__name__}\n".encode())
                self.memoize(value)
            else:
                super().save_global(value, name)

        dispatch = {**pickle._Pickler.dispatch, FunctionType: save_global, BuiltinFunctionType: save_global}  # type: ignore[attr-defined]  # noqa: RUF012


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_file_that_would_run_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    content = released(extra=Path("anything"))
    torch.save(content, tmp_path / "bank.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"bank\.pth: expected .* nothing but data in it; it refers to pathlib"):
        read_bank(tmp_path / "bank.pth")


def test_damaged_file_is_named(tmp_path: Path) -> None:
    torch.save(released(), tmp_path / "bank.pth")
    (tmp_path / "bank.pth").write_bytes((tmp_path / "bank.pth").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"bank\.pth"):
        read_bank(tmp_path / "bank.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([CENTRES, LABELS], "expected a dict as in a released bank file, got list"),
        ({"descriptions": DESCRIPTIONS}, "one key that ends in _embeddings_and_labels; the file has descriptions"),
        (released(other_embeddings_and_labels=[]), "one key that ends in"),
        (released(**{KEY: [CENTRES.T, LABELS]}), r"expected centres \(K, D\) and a class matrix \(N, K\)"),
        (released(**{KEY: [CENTRES, LABELS * 2]}), "zeros and ones"),
        (released(**{KEY: [CENTRES * np.nan, LABELS]}), "not finite"),
        (released(**{KEY: [CENTRES]}), r"expected a list of centres \(D, K\) and labels \(K, N\)"),
        (released(descriptions={"wall": ["flat"]}), "expected 2 classes with descriptions, got 1"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "bank.pth")
    with pytest.raises(ValueError, match=message):
        read_bank(tmp_path / "bank.pth")


def test_one_of_several_entries_is_read_by_its_key(tmp_path: Path) -> None:
    torch.save(released(other_embeddings_and_labels=[CENTRES + 1, LABELS]), tmp_path / "bank.pth")
    assert torch.equal(
        read_bank(tmp_path / "bank.pth", "other_embeddings_and_labels").centres, torch.from_numpy(CENTRES.T + 1)
    )


def test_written_bank_is_the_originals(tmp_path: Path) -> None:
    torch.save(released(), tmp_path / "released.pth")
    bank = read_bank(tmp_path / "released.pth")
    (tmp_path / "ours.pth").write_bytes(b"an older one")
    write_bank(tmp_path / "ours.pth", bank)

    content = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert list(content) == ["descriptions", KEY]
    assert content["descriptions"] == DESCRIPTIONS
    centres, labels = content[KEY]
    assert (centres.dtype, labels.dtype) == (torch.float32, torch.float64)
    assert np.array_equal(centres, CENTRES)
    assert np.array_equal(labels, LABELS)
    again = read_bank(tmp_path / "ours.pth")
    assert torch.equal(again.centres, bank.centres)
    assert again.descriptions == bank.descriptions
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.pth", "released.pth"]
    assert (tmp_path / "ours.pth").stat().st_mode == (tmp_path / "released.pth").stat().st_mode


@pytest.mark.parametrize("stem", ["ade", "ade20k"])
def test_both_names_of_a_bank_file_are_found(tmp_path: Path, stem: str) -> None:
    name = "desc_bge-base-en-v1.5_gpt3.5_cluster_256_embedding_bank.pth"
    (tmp_path / f"{stem}_{name}").touch()
    (tmp_path / f"coco_stuff_164k_{name}").touch()
    assert find_bank(tmp_path, "ade20k").name == f"{stem}_{name}"
    assert find_bank(tmp_path, "coco_stuff_164k").name == f"coco_stuff_164k_{name}"
    with pytest.raises(ValueError, match=r"expected one file cityscapes_bdd_desc_\*_embedding_bank.pth; found none"):
        find_bank(tmp_path, "bdd100k")
    (tmp_path / f"ade_{name.replace('256', '128')}").touch()
    with pytest.raises(ValueError, match="_cluster_128_"):
        find_bank(tmp_path, "ade20k")


def test_bank_from_a_few_properties() -> None:
    vectors = {"flat": [1.0, 0.0], "vertical": [0.0, 1.0], "soft": [0.6, 0.8]}

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        assert len(set(texts)) == len(texts)
        return np.array([vectors[text] for text in texts], np.float32)

    properties = {"even": ["wall: Flat", "bed : flat", "wall: vertical"], "not hard": ["bed : soft"]}
    bank = bank_from_properties(properties, ["bed ", "wall"], embed)
    torch.testing.assert_close(bank.centres, torch.tensor([[2 / 3, 1 / 3], [0.6, 0.8]]))
    assert bank.class_matrix.tolist() == [[1, 1], [1, 0]]
    assert bank.classes == ("bed ", "wall")
    assert bank.properties == ("even", "not hard")
    assert bank.descriptions == {"bed ": ("flat", "soft"), "wall": ("Flat", "vertical")}


@pytest.mark.parametrize(
    ("properties", "classes", "message"),
    [
        ({"even": ["wall: flat"]}, ["floor"], "property 'even': class 'wall' of 'flat' is none of the classes"),
        ({"even": ["wall: flat"]}, ["wall", "bed "], "have none of 'bed '"),
        ({"even": ["flat"]}, ["wall"], "expected members \"class: description\", got 'flat'"),
    ],
)
def test_properties_that_do_not_fit_are_refused(
    properties: dict[str, list[str]], classes: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bank_from_properties(properties, classes, lambda texts: np.ones((len(texts), 1), np.float32))


@pytest.mark.parametrize(
    ("vectors", "message"), [(np.ones((1, 2)), "rows of length 1"), (np.ones((2, 1)), r"expected \(1, D\)")]
)
def test_embeddings_that_do_not_fit_are_refused(vectors: npt.NDArray[np.float32], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bank_from_properties({"even": ["wall: flat"]}, ["wall"], lambda texts: vectors)


@pytest.mark.parametrize("content", ["[]", '{"even": []}', '{"even": [1]}', "{"])
def test_properties_file_of_another_shape_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "properties.json").write_text(content)
    with pytest.raises(ValueError, match=r"properties\.json"):
        read_properties(tmp_path / "properties.json")


def test_names_go_to_the_properties_with_the_same_owners() -> None:
    bank = Bank(
        centres=torch.ones(4, 2),
        class_matrix=torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 1]]),
        descriptions={"wall": ("flat",), "bed ": ("soft",)},
    )
    properties = {"firm": ["wall: a"], "soft": ["bed : b"], "in a house": ["bed : c", "wall: c"], "warm": ["bed : d"]}
    assert match_names(bank, properties) == ["firm", "in a house", None, None]
    with pytest.raises(ValueError, match="the 3 named properties are not the bank's 4: 3 are owned by the same"):
        match_names(bank, {name: texts for name, texts in properties.items() if name != "warm"})
    with pytest.raises(ValueError, match="does not name its classes"):
        match_names(Bank(bank.centres, bank.class_matrix), properties)


def test_names_of_the_released_properties(shared_data: Path) -> None:
    """Of ADE20K's 256 properties 245 have owners of their own; the order in the bank does not matter."""
    properties, descriptors = released_properties(shared_data)
    bank = bank_from_properties(properties, list(descriptors), hashed_vectors)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    shuffled = Bank(bank.centres[order], bank.class_matrix[:, order], bank.descriptions)
    names = match_names(shuffled, properties)
    assert bank.properties is not None
    assert all(name in (None, bank.properties[index]) for name, index in zip(names, order.tolist(), strict=True))
    assert sum(name is not None for name in names) == 245


def released_properties(shared_data: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    descriptors = json.loads((shared_data / "descriptors/descriptors_ade20k_gpt3.5_cluster.json").read_text())
    return read_properties(shared_data / "properties/property_ade20k.json"), descriptors


def hashed_vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    vectors = np.stack([np.random.default_rng(list(text.encode())).normal(size=8) for text in texts])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_bank_of_the_released_properties(shared_data: Path) -> None:
    """The figures of spec 1.4 and 1.6: 256 properties, 5 to 13 of them a class, 9.36 on average."""
    properties, descriptors = released_properties(shared_data)
    bank = bank_from_properties(properties, list(descriptors), hashed_vectors)
    owned = bank.class_matrix.sum(dim=1)
    assert (tuple(bank.centres.shape), tuple(bank.class_matrix.shape)) == ((256, 8), (150, 256))
    assert (owned.min(), owned.max()) == (5, 13)
    assert owned.mean().item() == pytest.approx(9.36, abs=0.005)
    assert len({tuple(row) for row in bank.class_matrix.tolist()}) == 150
    assert bank.descriptions is not None
    assert {name: sorted(texts) for name, texts in bank.descriptions.items()} == {
        name: sorted(texts) for name, texts in descriptors.items()
    }
    label_space = PropertyLabelSpace(256, 150, 8)
    label_space.assign(bank.centres, bank.class_matrix)
