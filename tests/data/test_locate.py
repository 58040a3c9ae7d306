import pytest

from plastorch.data.catalog import CATALOG, entry_of
from plastorch.data.locate import located, missing_files
from plastorch.engine.errors import InputError


def test_a_set_that_is_not_there(tmp_path, no_root, monkeypatch):
    for name, entry in CATALOG.items():
        with pytest.raises(InputError, match=f"{entry.folders[0]}; to get it: ") as caught:
            located(entry, tmp_path)
        line = f"plastorch data get {name} --data {tmp_path} ("
        assert line in str(caught.value) or entry.origin in str(caught.value)
    with pytest.raises(InputError, match=r"get cifar10 \(.* data root that .* \$PLASTORCH_DATA$"):
        located(CATALOG["cifar10"], None)


def test_what_is_missing_of_it(mnist_root, cifar_root, stl10_root):
    root = mnist_root
    for name in ("mnist", "cifar10", "cifar100", "stl10"):
        assert missing_files(CATALOG[name], root / CATALOG[name].folders[0]) == []
    (root / "stl10_binary" / "unlabeled_X.bin").unlink()
    (root / "stl10_binary" / "test_X.bin").unlink()
    assert missing_files(CATALOG["stl10"], root / "stl10_binary") == ["test_X.bin"]
    assert missing_files(CATALOG["imagenet"], root) == ["train", "val"]
    assert missing_files(CATALOG["fsdd"], root) == ["recordings"]


def test_a_set_is_described_by_its_name():
    assert entry_of("cifar10").folders == ("cifar-10-batches-py",)
    with pytest.raises(InputError, match="name"):
        entry_of("cifar11")
