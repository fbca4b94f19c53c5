# SPDX-License-Identifier: Apache-2.0
"""A bucket of as many objects as wanted, none of which is stored: ListObjectsV2 makes its pages as it is asked, GET
answers with one of a few photos and the object's number behind it, so that no two objects are the same.

    python objects.py COUNT PHOTO...

prints its port and serves s3://million/ on loopback until standard input ends. GET /-/counts tells what was asked for.
"""
import asyncio
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

FOLDER = 1_000  # objects of a folder
BUCKET = "million"


def key_of(number):
    return f"{number // FOLDER:06d}/photo-{number:09d}.jpg"


class Bucket:
    def __init__(self, count, photos):
        self.count, self.photos = count, photos
        self.counts = {"pages": 0, "listed": 0, "gets": 0, "heads": 0, "bytes": 0}

    def number_of(self, key):
        """Of the object, or none."""
        found = re.fullmatch(r"(\d{6})/photo-(\d{9})\.jpg", key)
        if found and int(found[2]) < self.count and int(found[2]) // FOLDER == int(found[1]):
            return int(found[2])
        return None

    def body_of(self, number):
        return self.photos[number % len(self.photos)] + number.to_bytes(8, "big")

    def page(self, query):
        """One page of ListObjectsV2: below a prefix, after a token (a number), by folders where there is a delimiter."""
        most = min(int(query.get("max-keys", "1000")), 1000)
        prefix, token = query.get("prefix", ""), query.get("continuation-token", "")
        folder = re.fullmatch(r"(\d{6})/?.*", prefix)
        first, end = 0, self.count
        if prefix and not folder:
            first = end
        elif folder:
            first = int(folder[1]) * FOLDER
            end = min(first + FOLDER, self.count)
        begin = max(first, int(token) if token else 0)
        self.counts["pages"] += 1
        parts = []
        if query.get("delimiter") and not folder:
            number = begin
            while number < end and len(parts) < most:
                parts.append(f"<CommonPrefixes><Prefix>{number // FOLDER:06d}/</Prefix></CommonPrefixes>")
                number += FOLDER
            last = min(number, end)
        else:
            last = min(begin + most, end)
            sizes = [len(photo) + 8 for photo in self.photos]
            parts = [f"<Contents><Key>{key_of(n)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                     f"<ETag>&quot;{n:032x}&quot;</ETag><Size>{sizes[n % len(sizes)]}</Size>"
                     "<StorageClass>STANDARD</StorageClass></Contents>" for n in range(begin, last)]
            parts = [part for part in parts if f"<Key>{prefix}" in part] if folder and len(prefix) > 7 else parts
            self.counts["listed"] += len(parts)
        more = last < end
        next_token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        return (f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><MaxKeys>{most}</MaxKeys><KeyCount>{len(parts)}</KeyCount>"
                f"<IsTruncated>{str(more).lower()}</IsTruncated>{next_token}{''.join(parts)}</ListBucketResult>").encode()

    def answer(self, method, target, headers):
        """Status, headers and body; HEAD gets the length of what GET would get."""
        path, _, raw = target.partition("?")
        query = dict(urllib.parse.parse_qsl(raw, keep_blank_values=True))
        if path == "/-/counts":
            return 200, {}, json.dumps(self.counts).encode()
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        if bucket != BUCKET or method not in ("GET", "HEAD"):
            return 404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchBucket</Code></Error>"
        if not key:
            if "list-type" in query:
                return 200, {"Content-Type": "application/xml"}, self.page(query)
            return 200, {"x-amz-bucket-region": "us-east-1"}, b""
        number = self.number_of(key)
        if number is None:
            return 404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>"
        body = self.body_of(number)
        facts = {"Content-Type": "image/jpeg", "ETag": f'"{number:032x}"', "Accept-Ranges": "bytes",
                 "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if method == "HEAD":
            self.counts["heads"] += 1
            return 200, facts, body
        self.counts["gets"] += 1
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if wanted:
            begin, end = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            facts["Content-Range"] = f"bytes {begin}-{end}/{len(body)}"
            self.counts["bytes"] += end + 1 - begin
            return 206, facts, body[begin:end + 1]
        self.counts["bytes"] += len(body)
        return 200, facts, body


class Connection(asyncio.Protocol):
    REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found"}

    def __init__(self, bucket):
        self.bucket, self.buffer = bucket, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end].decode("latin-1"), self.buffer[end + 4:]
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            method, target, _ = first.split(" ", 2)
            status, facts, body = self.bucket.answer(method, target, headers)
            facts["Content-Length"] = len(body)
            text = "".join(f"{name}: {value}\r\n" for name, value in facts.items())
            answer = f"HTTP/1.1 {status} {self.REASONS[status]}\r\n{text}\r\n".encode()
            self.transport.write(answer if method == "HEAD" else answer + body)


async def serve(count, photos):
    loop = asyncio.get_running_loop()
    bucket = Bucket(count, photos)
    server = await loop.create_server(lambda: Connection(bucket), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


class ObjectServer:
    """The program above in a process of its own, for use in `with`."""

    def __init__(self, count, photos):
        self.words = [sys.executable, __file__, str(count), *map(str, photos)]

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=10)

    def counts(self):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/counts") as answer:
            return json.load(answer)

    def environment(self, env):
        """Of a client of this server and no other."""
        kept = {name: value for name, value in env.items() if not name.startswith("AWS_")}
        return {**kept, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]))
