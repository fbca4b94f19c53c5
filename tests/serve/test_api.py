# SPDX-License-Identifier: Apache-2.0
"""The HTTP API gives what the command gives, to the bit, alone and under load."""
import base64
import concurrent.futures
import http.client
import json
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest

from multipart_body import multipart


@pytest.fixture(scope="module")
def expected(pomona, model, photos):
    """What `pomona predict` says of each photo."""
    lines = pomona("predict", model, *photos, "--json", "--top", "3", timeout=120).stdout.splitlines()
    return {json.loads(line)["path"]: json.loads(line) for line in lines}


@pytest.fixture(scope="module")
def vectors(pomona, model, photos, tmp_path_factory):
    """What `pomona featurize` writes for each photo."""
    dest = tmp_path_factory.mktemp("features") / "out"
    pomona("featurize", *photos, dest, "--model", model, "--labels", "none", timeout=120)
    table = pq.read_table(dest, columns=["path", "features"])
    return dict(zip(table["path"].to_pylist(), map(np.float32, table["features"].to_pylist())))


def check(photo, told):
    (target,) = photo["targets"]
    assert target["label"] == told["label"] and target["confident"] == told["confident"]
    assert target["probability"] == told["probability"]
    assert target["top"] == told["top"]
    assert photo["unknown"] == told["unknown"] and photo["distance"] == told["distance"]
    assert (photo["width"], photo["height"]) == (told["width"], told["height"])


def test_classify_as_predict_does_and_under_32_connections(server, photos, expected):
    for path in photos[:5]:
        (photo,) = server.json("/v1/classify", path.read_bytes())["photos"]
        check(photo, expected[str(path)])

    def many(worker):
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for i in range(6):
            path = photos[(worker + i) % len(photos)]
            line.request("POST", "/v1/classify", path.read_bytes())
            answer = line.getresponse()
            assert answer.status == 200
            check(json.loads(answer.read())["photos"][0], expected[str(path)])
        line.close()

    def several_ran_together():
        text = server.ask("/metrics")[2].decode()
        batches = {line.split('le="')[1].split('"')[0]: int(line.split()[-1]) for line in text.splitlines()
                   if line.startswith("pomona_batch_photos_bucket")}
        return batches["+Inf"] > batches["2"]

    for _ in range(5):  # once is enough, but for machines so busy that requests hardly meet
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            list(pool.map(many, range(32)))
        if several_ran_together():
            break
    assert several_ran_together(), "photos of several requests ran together"


def test_features_are_those_of_the_command_to_the_bit(server, photos, vectors):
    kind, body = multipart([("photo", path.name, path.read_bytes()) for path in photos[:8]])
    status, headers, octets = server.ask("/v1/features", body, headers={
        "Content-Type": kind, "Accept": "application/octet-stream"})
    assert status == 200 and (headers["X-Pomona-Rows"], headers["X-Pomona-Dimension"]) == ("8", "1280")
    rows = np.frombuffer(octets, "<f4").reshape(8, 1280)
    for row, path in zip(rows, photos):
        assert row.tobytes() == vectors[str(path)].tobytes()
    text = server.json("/v1/features", body, headers={"Content-Type": kind})
    for photo, row in zip(text["photos"], rows):
        assert np.float32(photo["features"]).tobytes() == row.tobytes()


def test_several_photos_with_a_bad_one_among_them(server, photos):
    kind, body = multipart([("photo", "good.jpg", photos[0].read_bytes()), ("photo", "bad.jpg", b"\xff\xd8\xff no"),
                            ("other", "also good.jpg", photos[1].read_bytes()), ("note", None, b"text")])
    answer = server.json("/v1/classify?top=2", body, headers={"Content-Type": kind})
    good, bad, also = answer["photos"]
    assert good["name"] == "good.jpg" and len(good["targets"][0]["top"]) == 2 and also["targets"]
    assert bad["error"]["code"] == "not_a_photo" and "targets" not in bad
    assert answer["model"]["name"] == "fruit" and len(answer["model"]["sha256"]) == 64


def test_what_is_no_photo_has_its_status(server, photos):
    assert server.error("/v1/classify", b"hello") == (415, "not_a_photo")
    assert server.error("/v1/classify", photos[0].read_bytes()[:900]) == (422, "not_a_photo")
    assert server.error("/v1/classify", b"") == (400, "no_photo")
    assert server.error("/v1/classify?model=none", photos[0].read_bytes()) == (404, "no_such_model")
    assert server.error("/v1/classify?top=0", photos[0].read_bytes()) == (400, "bad_parameter")
    kind, body = multipart([("photo", "a", photos[0].read_bytes())] * 9)
    assert server.error("/v1/classify", body, headers={"Content-Type": kind}) == (413, "too_many_photos")


def test_reduced_vectors(pomona, serve, photos, trained, tmp_path):
    """k numbers instead of a photo: the same answer as the components' own."""
    reduced = trained / "reduced"
    table = pq.read_table(reduced, columns=["path", "components"])
    model = tmp_path / "on-components.onnx"
    pomona("train", reduced, "-o", model, "--classifier", "lda", timeout=120)
    own = serve(own_model=f"small={model}")
    assert own.json("/v1/models")["models"][0]["takes_components"] is True
    rows = np.float32(table["components"].to_pylist()[:4])
    binary = own.json("/v1/reduced?top=1", rows.tobytes(), headers={"Content-Type": "application/octet-stream"})
    text = own.json("/v1/reduced?top=1", json.dumps({"components": rows.astype(float).tolist()}).encode(),
                    headers={"Content-Type": "application/json"})
    assert binary == text and len(binary["photos"]) == 4
    for row, photo in zip(table["path"].to_pylist(), binary["photos"]):
        assert photo["targets"][0]["label"] in row
    assert own.error("/v1/reduced", rows.tobytes()[:-1], headers={"Content-Type": "application/octet-stream"}) == (
        400, "bad_components")
    assert own.error("/v1/reduced", b"[[1, 2]]", headers={"Content-Type": "application/json"})[0] == 400
    assert own.error("/v1/reduced", np.float32([np.nan] * rows.shape[1]).tobytes())[0] == 400


def test_similar_photos_with_thumbnails(pomona, serve, trained, photos):
    own = serve("--similar", str(trained))
    path = next((trained.parent / "photos" / "Banana 1").iterdir())
    (answer,) = own.json("/v1/similar?k=5", path.read_bytes())["photos"]
    told = json.loads(pomona("similar", trained, path, "-n", "5", "--json").stdout)
    assert [one["similarity"] for one in answer["similar"]] == [one["similarity"] for one in told["nearest"]]
    assert [told_one["path"].endswith(one["path"]) for one, told_one in zip(answer["similar"], told["nearest"])]
    first = answer["similar"][0]
    assert first["path"] == f"Banana 1/{path.name}" and first["similarity"] == pytest.approx(1)
    status, headers, jpeg = own.ask("/" + first["thumbnail"])
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and jpeg[:2] == b"\xff\xd8" and b"Exif" not in jpeg
    for row in ["999999999", "-1", "..%2f..%2fetc%2fpasswd", "1e3", "18446744073709551616"]:
        assert own.error(f"/v1/similar/thumbnail/{row}")[0] == 404


class TestKServe:
    def test_health_and_metadata(self, server):
        assert server.json("/v2/health/live") == {"live": True}
        assert server.json("/v2/health/ready") == {"ready": True}
        assert server.json("/v2")["name"] == "pomona"
        assert server.json("/v2/models/fruit/ready")["ready"] is True
        meta = server.json("/v2/models/fruit")
        assert {one["name"] for one in meta["inputs"]} >= {"photos", "pixels", "features"}
        assert server.kserve_error("/v2/models/none") == 404
        # Refusals that never reach a model have the protocol's form too.
        assert server.kserve_error("/v2/nothing") == 404
        assert server.kserve_error("/v2", b"1") == 405
        assert server.kserve_error("/v2/models/fruit/infer", b"0" * (5 << 20)) == 413

    def infer(self, server, request, binary=b"", **more):
        head = json.dumps(request).encode()
        headers = {"Content-Type": "application/json"}
        if binary:
            headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        return server.json("/v2/models/fruit/infer", head + binary, headers=headers, **more)

    def outputs(self, answer):
        return {one["name"]: one["data"] for one in answer["outputs"]}

    def test_photos_as_base64_and_as_binary_data(self, server, photos, expected):
        photo = photos[:3]
        text = self.infer(server, {"id": "7", "inputs": [{"name": "photos", "datatype": "BYTES", "shape": [3], "data": [
            base64.b64encode(path.read_bytes()).decode() for path in photo]}]})
        raw = b"".join(struct.pack("<I", path.stat().st_size) + path.read_bytes() for path in photo)
        binary = self.infer(server, {"id": "7", "inputs": [{"name": "photos", "datatype": "BYTES", "shape": [3],
                                     "parameters": {"binary_data_size": len(raw)}}]}, raw)
        assert text == binary and text["id"] == "7"
        assert self.outputs(text)["label"] == [expected[str(path)]["label"] for path in photo]

    def test_features_and_back(self, server, photos, vectors, expected):
        photo = [str(path) for path in photos[:2]]
        rows = np.stack([vectors[path] for path in photo])
        told = self.infer(server, {"inputs": [{"name": "features", "datatype": "FP32", "shape": [2, 1280],
                                               "data": rows.astype(float).ravel().tolist()}]})
        assert self.outputs(told)["label"] == [expected[path]["label"] for path in photo]
        status, headers, body = server.ask("/v2/models/fruit/infer", json.dumps({
            "inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": [
                base64.b64encode(photos[0].read_bytes()).decode()]}],
            "outputs": [{"name": "features", "parameters": {"binary_data": True}}]}).encode())
        assert status == 200
        assert body[int(headers["Inference-Header-Content-Length"]):] == vectors[photo[0]].tobytes()

    def test_pixels(self, server, photos, vectors):
        Image = pytest.importorskip("PIL.Image")
        pixels = np.asarray(Image.open(photos[0]).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
        told = self.infer(server, {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 224, 224, 3],
                                   "parameters": {"binary_data_size": pixels.size}}],
                                   "outputs": [{"name": "features"}]}, pixels.tobytes())
        assert np.float32(self.outputs(told)["features"]).tobytes() == vectors[str(photos[0])].tobytes()

    @pytest.mark.parametrize("change", [
        {"inputs": []}, {"inputs": [1]}, {"inputs": [{"name": "photos"}]}, {},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [2], "data": ["aaaa"]}]},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": ["%%%"]}]},
        {"inputs": [{"name": "photos", "datatype": "FP32", "shape": [1], "data": ["aaaa"]}]},
        {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]},
        {"inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 1280], "data": []}]},
        {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 224, 224, 3], "data": [300]}]},
        {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 10**9}}]},
    ])
    def test_malformed_requests_are_refused(self, server, change):
        assert server.kserve_error("/v2/models/fruit/infer", json.dumps(change).encode()) == 400

    def test_json_bombs_are_refused(self, server):
        assert server.kserve_error("/v2/models/fruit/infer", b"[" * 1_000_000) == 400
        assert server.kserve_error("/v2/models/fruit/infer", b'{"a":[' + b"[],"* 1_200_000 + b"1]}") == 400
        assert server.kserve_error("/v2/models/fruit/infer", b"\x00\xff{") == 400


def test_openapi_and_metrics_answer(server):
    document = server.json("/openapi.json")
    assert document["openapi"].startswith("3.1") and "/v1/classify" in document["paths"]
    text = server.ask("/metrics")[2].decode()
    assert 'pomona_model_info{model="fruit"' in text and "process_resident_memory_bytes" in text


def test_the_page_and_its_caches(server):
    status, headers, body = server.ask("/")
    assert status == 200 and headers["Content-Type"].startswith("text/html") and b"<html" in body
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in headers
    assert server.ask("/", headers={"If-None-Match": headers["ETag"]})[0] == 304
    status, packed, small = server.ask("/", headers={"Accept-Encoding": "gzip, br;q=0.5"})
    assert packed["Content-Encoding"] == "br" and len(small) < len(body)
    assert server.ask("/", headers={"Accept-Encoding": "br;q=0"})[1]["Content-Encoding"] is None
    status, headers, nothing = server.ask("/", method="HEAD")
    assert status == 200 and int(headers["Content-Length"]) == len(body) and nothing == b""
    assert server.json("/config.json") == {"mode": "server", "contributions": False, "similar": False,
                                           "retention_days": 14}
    assert server.json("/catalogue.json")


def test_contributions_are_stored_and_taken_back(serve, photos, tmp_path):
    own = serve("--contributions", tmp_path / "given")
    photo = photos[0].read_bytes()
    form = [("photo", "x.jpg", photo), ("label", None, b"My apple"), ("consent", None, b"true")]
    kind, body = multipart(form)
    receipt = own.json("/v1/contributions", body, status=201, headers={"Content-Type": kind})
    kind, body = multipart(form[:2])
    assert own.error("/v1/contributions", body, headers={"Content-Type": kind}) == (400, "no_consent")
    kind, body = multipart([("photo", "x", b"no photo"), *form[1:]])
    assert own.error("/v1/contributions", body, headers={"Content-Type": kind})[1] == "not_a_photo"
    assert own.json("/v1/contributions/" + receipt["code"], method="DELETE")["removed"] is True
    assert own.error("/v1/contributions/" + receipt["code"], method="DELETE") == (404, "no_such_code")
    assert own.json("/config.json")["contributions"] is True
