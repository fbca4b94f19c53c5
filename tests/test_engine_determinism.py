# SPDX-License-Identifier: Apache-2.0
"""The same photos give the same bytes, whatever the threads and the batch."""
import pytest

from engine_support import assert_same_dataset, make_network, make_photos, parts, small


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = make_photos(tmp_path_factory.mktemp("photos") / "photos", 240)
    # Rejects in between: blocks are packed, and in the same way.
    for i in (3, 40, 41, 230):
        (folder / "apple" / f"{i:05d}b.jpg").write_bytes(b"nothing")
    return folder


def run(pomona, photos, place, *flags):
    """Always the same DEST, which the PCA records; then out of the way."""
    dest = place / "results"
    pomona("run", photos, dest, "--rows-per-file", "50", "--variance", "0.9", "--max-reject-rate", "0.1", *flags)
    kept = place / f"kept-{len(list(place.iterdir()))}"
    dest.rename(kept)
    return kept


def assert_same_results(found, expected):
    assert_same_dataset(found / "features", expected / "features")
    assert_same_dataset(found / "reduced", expected / "reduced")
    assert (found / "pca" / "pca.bin").read_bytes() == (expected / "pca" / "pca.bin").read_bytes()
    for kind in ("features", "reduced"):
        ours = [(found / kind / p).read_bytes() for p in parts(found / kind)]
        assert ours == [(expected / kind / p).read_bytes() for p in parts(expected / kind)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_network(tmp_path_factory.mktemp("network") / "net.onnx", d=40)


def test_threads_and_batch(pomona, photos, network, tmp_path):
    expected = run(pomona, photos, tmp_path, *small(network), "--threads", "1")
    assert len(parts(expected / "features")) == 5
    for flags in (["--threads", "2"], ["--threads", "3"], ["--threads", "7", "--batch", "3"], ["--batch", "1"],
                  ["--threads", "2", "--batch", "16"]):
        assert_same_results(run(pomona, photos, tmp_path, *small(network), *flags), expected)


@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_threads_and_batch_of_the_default_network(pomona, photos, tmp_path, precision):
    flags = ["--input-size", "96", "--precision", precision, "-q"]
    expected = run(pomona, photos, tmp_path, *flags, "--threads", "1", "--batch", "1")
    for more in (["--threads", "2", "--batch", "8"], ["--threads", "3", "--batch", "4"]):
        assert_same_results(run(pomona, photos, tmp_path, *flags, *more), expected)
