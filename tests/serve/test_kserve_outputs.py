# SPDX-License-Identifier: Apache-2.0
"""KServe's binary outputs as its specification has them, for clients in browsers too."""
import json
import struct

import pytest


@pytest.fixture
def vectors_of_one():
    return struct.pack("<1280f", *([0.5] * 1280))


def test_an_output_may_say_otherwise_than_the_request(serve, vectors_of_one):
    server = serve("--cors", "https://example.org")
    head = json.dumps({
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 1280], "parameters": {"binary_data_size": 5120}}],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}]}).encode()
    status, headers, body = server.ask("/v2/models/fruit/infer", head + vectors_of_one, headers={
        "Inference-Header-Content-Length": str(len(head)), "Origin": "https://example.org"})
    assert status == 200, body
    length = int(headers["Inference-Header-Content-Length"])
    label, probabilities = json.loads(body[:length])["outputs"]
    assert isinstance(label["data"][0], str) and "parameters" not in label
    assert probabilities["parameters"]["binary_data_size"] == len(body) - length
    # A script of another origin reads only the headers that it is shown, and cannot do without this one.
    assert "Inference-Header-Content-Length" in headers["Access-Control-Expose-Headers"]
