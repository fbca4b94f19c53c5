# SPDX-License-Identifier: Apache-2.0
"""What an owner changes or mistypes is noticed, and not answered with something wrong."""
import os
import shutil

import pytest


def test_similar_photos_are_not_those_of_another_network(pomona, serve, trained, photos, tmp_path):
    shutil.copy(trained / "model.onnx", tmp_path / "fruit.onnx")
    server = serve("--similar", trained, own_model=f"fruit={tmp_path / 'fruit.onnx'}")
    photo = photos[0].read_bytes()
    assert server.json("/v1/similar?k=1", photo)["photos"][0]["similar"]
    pomona("train", trained.parent / "photos", "-o", tmp_path / "smaller.onnx", "--input-size", "64", "-q")
    os.replace(tmp_path / "smaller.onnx", tmp_path / "fruit.onnx")
    server.hangup()
    assert server.json("/v1/classify", photo)["photos"][0]["targets"]
    assert server.error("/v1/similar?k=1", photo) == (409, "other_network")
    assert "similar photos are refused" in server.said()


@pytest.mark.parametrize("given", ["*", "null", "fruit.example.org", "https://a.example,https://b.example",
                                   "https://a.example/page"])
def test_an_origin_that_no_browser_sends_is_refused(pomona, model, given):
    done = pomona("serve", model, "--port", "0", "--cors", given, code=None)
    assert done.returncode != 0 and b"one origin" in done.stderr


def test_an_origin_with_a_slash_is_that_origin(serve):
    server = serve("--cors", "https://Fruit.example/")
    headers = server.ask("/v1/models", headers={"Origin": "https://fruit.example"})[1]
    assert headers["Access-Control-Allow-Origin"] == "https://fruit.example"


def test_localhost_is_this_machine_and_nobody_is_warned(serve):
    server = serve("--host", "localhost")
    assert server.json("/v1/models")["models"]
    assert "other machines" not in server.said()
