# SPDX-License-Identifier: Apache-2.0
"""Makes tests/fuzz/corpus anew: small files of every kind that is read.

    .venv/bin/python tests/fuzz/make_seeds.py build/bin/fuzz_seeds

What a fuzzer found worth keeping (`make fuzz` with FUZZ_KEEP=1) lies beside these files under names that are
hashes, and stays.
"""
import base64
import io
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def keep(target, name, data):
    place = CORPUS / target
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def picture(mode="RGB", width=23, height=17):
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 11 % 256, y * 15 % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    return image.convert(mode)


def encoded(kind, image=None, **options):
    out = io.BytesIO()
    (image or picture()).save(out, kind, **options)
    return out.getvalue()


def oriented(value):
    exif = Image.Exif()
    exif[0x0112] = value
    exif[0x010F] = "maker"
    return exif.tobytes()


XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description tiff:Orientation="8" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/></rdf:RDF></x:xmpmeta>')


def photos():
    rgba = picture("RGBA")
    rgba.putalpha(picture("L"))
    palette = picture().quantize(16)
    frames = [picture(), picture().rotate(90)]
    yield "jpeg", encoded("JPEG", quality=70)
    yield "jpeg_large", encoded("JPEG", picture(width=130, height=97), quality=40, subsampling=2)
    yield "jpeg_444", encoded("JPEG", quality=60, subsampling=0)
    yield "jpeg_progressive", encoded("JPEG", picture(width=70, height=50), progressive=True, quality=60)
    yield "jpeg_gray", encoded("JPEG", picture("L"))
    yield "jpeg_cmyk", encoded("JPEG", picture("CMYK"))
    yield "jpeg_exif", encoded("JPEG", exif=oriented(6))
    yield "jpeg_xmp", encoded("JPEG", xmp=XMP)
    yield "jpeg_restarts", encoded("JPEG", picture(width=70, height=50), restart_marker_blocks=2)
    yield "png", encoded("PNG")
    yield "png_rgba", encoded("PNG", rgba)
    yield "png_palette", encoded("PNG", palette, transparency=3)
    yield "png_gray1", encoded("PNG", picture("1"))
    yield "png_gray16", encoded("PNG", Image.new("I;16", (9, 7), 4000))
    yield "png_exif", encoded("PNG", exif=oriented(3))
    yield "webp", encoded("WEBP", quality=50)
    yield "webp_lossless", encoded("WEBP", lossless=True)
    yield "webp_alpha", encoded("WEBP", rgba, quality=50)
    yield "webp_exif", encoded("WEBP", exif=oriented(5), quality=50)
    yield "webp_animated", encoded("WEBP", frames[0], save_all=True, append_images=frames[1:], quality=40)
    yield "avif", encoded("AVIF", quality=40)
    yield "avif_exif", encoded("AVIF", exif=oriented(8), quality=40)
    yield "avif_alpha", encoded("AVIF", rgba, quality=40)
    # Brands of HEIC around AV1 data: the way in is the same, the codec is not there.
    yield "heic_brand", encoded("AVIF", quality=40).replace(b"ftypavif", b"ftypheic", 1)
    yield "gif", encoded("GIF", picture().quantize(8))
    yield "bmp", encoded("BMP", picture(width=5, height=4))


def interlaced(png):
    """The same header with Adam7 switched on: rows come in other lengths than the decoder is told."""
    import zlib

    head = bytearray(png[:33])
    head[28] = 1
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    return bytes(head) + png[33:]


def write_photos():
    for number, (name, data) in enumerate(photos()):
        keep("decode", name, bytes([(number * 37) % 256]) + data)
        keep("decode", name + "_small", b"\0" + data) if name == "jpeg_large" else None
        keep("clean_photo", name, data)
    keep("decode", "png_adam7", b"\0" + interlaced(encoded("PNG")))
    keep("decode", "tiff", b"\0" + oriented(7))


def write_archives():
    def tar(mode, **options):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode, **options) as archive:
            for name in ("set/apple/1.jpg", "set/kiwi/2.jpg"):
                member = tarfile.TarInfo(name)
                member.size = 12
                archive.addfile(member, io.BytesIO(b"not a photo\n"))
            link = tarfile.TarInfo("set/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            folder = tarfile.TarInfo("set/empty")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        return out.getvalue()

    def zipped(method, names=("set/apple/1.jpg", "set/kiwi/2.jpg")):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name in names:
                archive.writestr(name, b"not a photo\n" * 3)
        return out.getvalue()

    keep("unpack", "tar_gz", b"\0" + tar("w:gz"))
    keep("unpack", "tar_xz", b"\1" + tar("w:xz"))
    keep("unpack", "tar_bz2", b"\1" + tar("w:bz2"))
    keep("unpack", "tar_pax", b"\0" + tar("w", format=tarfile.PAX_FORMAT)[:5632])
    keep("unpack", "tar_gnu", b"\0" + tar("w", format=tarfile.GNU_FORMAT)[:5632])
    keep("unpack", "zip", b"\0" + zipped(zipfile.ZIP_DEFLATED))
    keep("unpack", "zip_stored", b"\1" + zipped(zipfile.ZIP_STORED))
    keep("unpack", "zip_lzma", b"\1" + zipped(zipfile.ZIP_LZMA))
    keep("unpack", "zip_up", b"\0" + zipped(zipfile.ZIP_STORED, ("../out.jpg", "/abs.jpg", "a/./b.jpg", "a")))


def parquet(columns, **options):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def write_tables():
    paths = [f"a/{i}.jpg" for i in range(6)]
    floats = [[0.5 * i, 1.0, 2.0] for i in range(6)]
    text = pa.array(["kiwi", "apple", None, "kiwi", "apple", "kiwi"])
    forms = {
        "list": {"path": paths, "features": pa.array(floats, pa.list_(pa.float32())), "label": text},
        "large_list": {"path": paths, "features": pa.array(floats, pa.large_list(pa.float64()))},
        "fixed": {"path": paths, "components": pa.array(floats, pa.list_(pa.float32(), 3)),
                  "label": text.dictionary_encode(), "split": pa.array(["Test"] * 6)},
        "typed": {"path": paths, "features": pa.array(floats, pa.list_(pa.float32(), 3)),
                  "width": pa.array(range(6), pa.int64()), "height": pa.array(range(6), pa.int32()),
                  "content_hash": pa.array([b"0123456789abcdef"] * 6, pa.binary(16))},
        "nulls": {"path": paths, "features": pa.array(floats[:5] + [None], pa.list_(pa.float32()))},
    }
    for name, columns in forms.items():
        keep("dataset", f"pyarrow_{name}", b"\0" + parquet(columns, compression="NONE"))
    keep("dataset", "pyarrow_zstd", b"\0" + parquet(forms["list"], compression="ZSTD", row_group_size=2))
    keep("dataset", "pyarrow_v2", b"\0" + parquet(forms["list"], compression="SNAPPY", data_page_version="2.0",
                                                  use_dictionary=False))
    labels = {
        "text": {"path": paths, "label": text},
        "numbers": {"file": paths, "label": pa.array([1, 2, 3, 4, 5, None]), "weight": [0.5, 1, 2, 3, 4, 5],
                    "good": [True, False] * 3},
        "dictionary": {"name": text.dictionary_encode(), "label": text.dictionary_encode()},
        "nested": {"path": paths, "label": pa.array(floats)},
        "times": {"path": paths, "label": pa.array([0, 1, 2, 3, 4, 5], pa.timestamp("ms"))},
    }
    for name, columns in labels.items():
        keep("tables", f"parquet_{name}", b"\0" + parquet(columns, compression="NONE"))
    keep("tables", "csv", b"\0path,label\na/1.jpg,kiwi\na/2.jpg,\"ap\"\"ple\"\n")
    keep("tables", "csv_crlf", b"\1file,label,ripe\r\n1.jpg,007,yes\r\n2.jpg,,\"two\r\nlines\"\r\n")
    keep("tables", "csv_bom", b"\0\xef\xbb\xbfpath;label\n")
    keep("tables", "paths", b"\3a/1.jpg\nb/2.png\r\ns3://bucket/key.jpg\n")
    keep("tables", "paths_nul", b"\7a/1.jpg\0b/new\nline.png\0")
    keep("dataset", "csv_quoted", b"\1path,label,f0,f1\n\"a,b.jpg\",\"k\"\"i\",1e-3,-0\n,,nan,inf\n")
    keep("dataset", "csv_text_vector", b"\1path,features\nx,\"[1, 2.5,3]\"\ny,\"[4,5,6]\"\n")


def write_records():
    run = {"run_id": "0123456789abcdef", "model": "efficientnet-lite0", "schema": {"d": 1280, "vector_column":
           "features"}, "fingerprint": {"precision": "bf16", "identity": {"layer": "penultimate"}},
           "preprocess": {"width": 224, "height": 224}, "counts": {"photos": 6, "rows": 5, "rejected": 1},
           "versions": {"pomona": "0.1.0"}, "cpu": {"model": "x", "cores": 2}, "threads": 2,
           "invocation": {"command": ["pomona", "run", "s3://k:s@b/x", "it's"], "options": {"batch": 8}},
           "timeline": [{"stage": "decode", "begin": 0.1, "end": 0.5, "lane": 0}], "stages": {"decode": 0.4},
           "rate": [[0.5, 10], [1.0, 25]], "reasons": {"decode: cut short": 1}, "seconds": 1.5}
    evaluation = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "balanced_accuracy": 0.9,
                  "top3": 1.0, "classifier": "logistic", "split": "Test", "classes": ["apple", "kiwi"],
                  "per_class": [{"label": "apple", "precision": 1, "recall": 0.5, "f1": 0.66, "support": 2}],
                  "confusion": [[1, 1], [0, 3]],
                  "mistakes": [{"path": "a.jpg", "label": "apple", "predicted": "kiwi", "probability": 0.9}],
                  "mistakes_total": 1, "components_needed": [[1, 0.5], [2, 0.9]],
                  "components_needed_by": "accuracy", "steps": [{"stage": "train", "seconds": 2}]}
    card = {"title": "mine", "file": "net.onnx", "layer": "pool", "sha256": "", "bytes": 3, "licence": "MIT",
            "preprocess": {"mode": "custom", "width": 16, "height": 16, "mean": [0, 0, 0], "std": [1, 1, 1],
                           "bgr": False, "kernel": "bicubic", "fit": "crop"}}
    keep("records", "card", b"\0" + json.dumps(card).encode())
    keep("records", "run", b"\1" + json.dumps(run).encode())
    keep("records", "evaluation", b"\2" + json.dumps(evaluation).encode())


def write_names():
    def words(*texts):
        return "\0".join(texts).encode()

    aws = ("[default]\nregion = eu-west-1\n[profile dev]\nservices = local\nrole_arn = arn:aws:iam::1:role/x\n"
           "s3 =\n  addressing_style = virtual\nmax_attempts = 7\n[services local]\ns3 =\n  endpoint_url = http://x\n")
    keep("names", "s3", words("s3a://user:pw@bucket/a//b/?region=eu-west-1&scheme=http&max_attempts=3", "*.jpg", ""))
    keep("names", "abfs", words("abfss://c@account.dfs.core.windows.net/a%20b?tls=false", "localhost", ""))
    keep("names", "hdfs", words("hdfs://namenode:8020/photos?user=me&replication=2", "10.0.0.0/8", ""))
    keep("names", "file", words("file:///tmp/a%20b//c/", "*", ""))
    keep("names", "glob", words("{IMG_[0-9]*,[!a-c]?\\*{x,y}}.jp*g", "IMG_12.jpeg", ""))
    keep("names", "ipv6", words("::ffff:10.0.0.1", ".example.com,*", ""))
    keep("names", "aws", words("dev", "3", aws))


def form(*parts, boundary="xyz"):
    body = b""
    for head, data in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def write_requests():
    jpeg = encoded("JPEG", picture(width=8, height=8), quality=30)
    multipart = "multipart/form-data; boundary=xyz"
    photo = ('name="photo"; filename="a.jpg"\r\nContent-Type: image/jpeg', jpeg)

    def message(target, kind, header, body):
        return f"{target}\0{kind}\0{header}\0".encode() + body

    keep("message", "form", message("/v1/classify?top=3&model=a%2Fb+c", multipart, "10.0.0.1, 127.0.0.1",
                                    form(photo, ("name=\"label\"", b"kiwi"))))
    keep("message", "form_quoted", message("/", 'multipart/form-data; charset=utf-8; boundary="x y"', "Bearer abc",
                                           form(('name="a\\"b"; filename*=UTF-8\'\'%e2%82%ac', b"1"), boundary="x y")))
    keep("message", "base64", message("/v2/models/m/infer", "application/json", "", base64.b64encode(jpeg)))
    keep("message", "tokens", message("*", "10.0.0.0/8", "classify,contribute",
                                      b"phone classify " + b"0" * 64 + b" 2026-11-21\n# note\n"))
    keep("message", "proxies", message("//x/../%2e%2e?a=1&&b", "fd00::1", "fd00::/8,192.0.2.1/32", b""))
    keep("message", "models", message("/a?b=%00", "a=b.onnx", "c.onnx", b""))

    def http(*lines, body=b""):
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    host = "Host: fuzz"
    keep("http", "get", http("GET /v1/models?x=1 HTTP/1.1", host))
    keep("http", "head_close", http("HEAD / HTTP/1.1", host, "Connection: close"))
    keep("http", "http10", http("GET / HTTP/1.0", "Connection: keep-alive") + http("GET / HTTP/1.0"))
    keep("http", "post", http("POST /x HTTP/1.1", host, "Content-Length: 5", body=b"hello"))
    keep("http", "pipelined", (http("POST /x HTTP/1.1", host, "Content-Length: 2", body=b"hi")) * 3)
    keep("http", "chunked", http("POST /x HTTP/1.1", host, "Transfer-Encoding: chunked",
                                 body=b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"))
    keep("http", "expect", http("POST /x HTTP/1.1", host, "Content-Length: 2", "Expect: 100-continue", body=b"hi"))
    keep("http", "two_lengths", http("POST /x HTTP/1.1", host, "Content-Length: 2", "Transfer-Encoding: chunked"))
    keep("http", "folded", http("GET / HTTP/1.1", host, "X-A: 1,", "  2", "Cookie: a=b"))
    keep("http", "too_large", http("POST /x HTTP/1.1", host, "Content-Length: 5000", body=b"x" * 20))
    keep("http", "refused", http("POST /refused HTTP/1.1", host, "Content-Length: 3", body=b"abc"))
    keep("http", "version", http("GET / HTTP/2.0", host))
    keep("http", "options", http("OPTIONS * HTTP/1.1", host))

    def route(line, kind="", more="", body=b""):
        return f"{line}\0{kind}\0{more}\0".encode() + body

    infer = {"id": "1", "inputs": [{"name": "features", "shape": [1, 8], "datatype": "FP32",
             "data": [1, 2, 3, 4, 5, 6, 7, 8]}], "outputs": [{"name": "probabilities"}, {"name": "features",
             "parameters": {"binary_data": True}}]}
    photos_json = {"inputs": [{"name": "photos", "shape": [1], "datatype": "BYTES",
                   "data": [base64.b64encode(jpeg).decode()]}], "parameters": {"binary_data_output": True}}
    binary_head = json.dumps({"inputs": [{"name": "reduced", "shape": [2, 3], "datatype": "FP32",
                              "parameters": {"binary_data_size": 24}}]}).encode()
    photo_head = json.dumps({"inputs": [{"name": "photos", "shape": [1, 1], "datatype": "BYTES",
                             "parameters": {"binary_data_size": len(jpeg) + 4}}]}).encode()
    pixels = {"inputs": [{"name": "pixels", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": [7] * 768}]}
    where = "POST /v2/models/tiny/infer"
    keep("routes", "classify", route("POST /v1/classify?top=2", "image/jpeg", "", jpeg))
    keep("routes", "classify_form", route("POST /v1/classify", multipart, "", form(photo, photo)))
    keep("routes", "features", route("POST /v1/features?model=tiny", "image/jpeg", "application/octet-stream", jpeg))
    keep("routes", "similar", route("POST /v1/similar?k=2", multipart, "", form(photo)))
    keep("routes", "thumbnail", route("GET /v1/similar/thumbnail/1"))
    keep("routes", "reduced", route("POST /v1/reduced", "application/json", "", b'{"components": [[1, 2, 3]]}'))
    keep("routes", "reduced_binary", route("POST /v1/reduced", "application/octet-stream", "",
                                           struct.pack("<6f", 1, 2, 3, 4, 5, 6)))
    keep("routes", "infer_json", route(where, "application/json", "", json.dumps(infer).encode()))
    keep("routes", "infer_photos", route(where, "application/json", "", json.dumps(photos_json).encode()))
    keep("routes", "infer_pixels", route(where, "application/json", "", json.dumps(pixels).encode()))
    keep("routes", "infer_binary", route(where, "application/octet-stream", str(len(binary_head)),
                                         binary_head + struct.pack("<6f", 1, 2, 3, 4, 5, 6)))
    keep("routes", "infer_binary_photo", route(where, "application/octet-stream", str(len(photo_head)),
                                               photo_head + struct.pack("<I", len(jpeg)) + jpeg))
    keep("routes", "contribute", route("POST /v1/contributions", multipart, "", form(
        photo, ('name="label"', b"kiwi"), ('name="label.ripeness"', b"ripe"), ('name="consent"', b"true"))))
    keep("routes", "withdraw", route("DELETE /v1/contributions/7Q2M-X0AB-7Q2M-X0AB-7Q2M-X0AB-7Q2M-X0AB"))
    for path in ("/v1/models", "/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/health/ready", "/metrics",
                 "/openapi.json", "/config.json", "/", "/catalogue.json"):
        keep("routes", "get" + path.replace("/", "_"), route(f"GET {path}", "", "gzip, br;q=0.5"))


def main():
    write_photos()
    write_archives()
    write_tables()
    write_records()
    write_names()
    write_requests()
    subprocess.run([sys.argv[1], str(CORPUS)], check=True)
    total = sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file())
    print(f"{sum(1 for _ in CORPUS.rglob('*'))} files, {total} bytes")


if __name__ == "__main__":
    main()
