# SPDX-License-Identifier: Apache-2.0
"""Fruit cut off its white background and set on others: what that is worth on photos as people take them."""
import os
import subprocess

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from places import BUILD

TOOL = BUILD / "bin" / "pomona-augment-tool"
FRUITS = ("apple", "banana", "orange")
EVERY = 4  # of the training photos, to be quick

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")


def augment(source, dest, variants=1, seed=1, threads=2, how="textures"):
    done = subprocess.run([TOOL, source, dest, str(variants), str(seed), str(threads), how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fruit_of(label):
    return next((f for f in FRUITS if label.lower().startswith(f)), None)


def vectors(pomona, source, dest):
    pomona("featurize", source, dest, "-q", timeout=600)
    data = pq.read_table(os.fspath(dest))
    column = data["features"].combine_chunks()
    labels = [fruit_of(label) for label in data["label"].to_pylist()]
    known = np.array([label is not None for label in labels])
    x = np.asarray(column.flatten()).reshape(len(column), -1)
    return x[known], np.array([label for label in labels if label]), np.array(data["path"].to_pylist())[known]


def natural(path):
    """True where most of the photo's border is not white."""
    image = np.asarray(Image.open(path).convert("RGB").resize((64, 64))).astype(int)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return ((border.min(1) >= 190) & (np.ptp(border, axis=1) <= 28)).mean() < 0.5


@pytest.fixture(scope="module")
def studio(fruits360, tmp_path_factory):
    """Every fourth training photo of apples, bananas and oranges."""
    folder = tmp_path_factory.mktemp("studio")
    for kind in sorted((fruits360 / "Training").iterdir()):
        if fruit_of(kind.name):
            (folder / kind.name).mkdir()
            for file in sorted(kind.iterdir())[::EVERY]:
                (folder / kind.name / file.name).symlink_to(file)
    return folder


def test_every_studio_photo_is_cut(studio, tmp_path):
    count = sum(len(list(kind.iterdir())) for kind in studio.iterdir())
    assert augment(studio, tmp_path / "out") == f"{count} made, {count} cut, 0 no white, 0 unreadable\n"


def test_photos_with_a_background_are_left(shared_data, tmp_path):
    photos = [p for p in sorted((shared_data / "fruit-photos").rglob("*.jpg")) if natural(p)]
    assert len(photos) > 50
    for i, photo in enumerate(photos):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{i}.jpg").symlink_to(photo)
    cut = int(augment(tmp_path / "in", tmp_path / "out").split()[2])
    assert cut <= len(photos) // 10


def test_gain_on_photos_with_natural_backgrounds(pomona, studio, shared_data, tmp_path):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression

    x, y, _ = vectors(pomona, studio, tmp_path / "plain")
    tx, ty, paths = vectors(pomona, shared_data / "fruit-photos", tmp_path / "photos")
    outside = np.array([natural(p) for p in paths])
    heads = {"logistic": lambda: LogisticRegression(max_iter=200),
             "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)}

    def score(vectors_, labels):
        found = {}
        for name, make in heads.items():
            head = make().fit(vectors_, labels)
            right = head.predict(tx) == ty
            p = head.predict_proba(tx)[np.arange(len(ty)), np.searchsorted(head.classes_, ty)]
            found[name] = right.mean(), right[outside].mean(), -np.log(p[outside].clip(1e-6)).mean()
        return found

    plain = score(x, y)
    gains = []
    for seed in (1, 2):
        augment(studio, tmp_path / f"made{seed}", seed=seed)
        ax, ay, _ = vectors(pomona, tmp_path / f"made{seed}", tmp_path / f"features{seed}")
        gains.append(score(np.vstack([x, ax]), np.concatenate([y, ay])))
    for name in heads:
        after = np.mean([g[name] for g in gains], axis=0)
        print(f"\n{name}: all photos {plain[name][0]:.1%} -> {after[0]:.1%}, natural backgrounds {plain[name][1]:.1%} -> "
              f"{after[1]:.1%}, log loss there {plain[name][2]:.3f} -> {after[2]:.3f}")
    for gain in gains:
        # LDA leans on what studio photos have in common; logistic has little left to gain but confidence.
        assert gain["lda"][0] > plain["lda"][0] + 0.03
        assert gain["lda"][1] > plain["lda"][1] + 0.03
        assert gain["logistic"][0] >= plain["logistic"][0] - 0.005
        assert gain["logistic"][2] < 0.8 * plain["logistic"][2]
