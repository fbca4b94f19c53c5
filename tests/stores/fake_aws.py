# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what only AWS has: the metadata service of a machine (IMDSv2), STS, the credentials of a container,
and S3's answer for a bucket that lies in another region. They hand out the keys they are given."""
import http.server
import re
import urllib.parse

from storage_server import answering

EXPIRES = "2099-01-01T00:00:00Z"


class FakeAws(http.server.ThreadingHTTPServer):
    """`calls` lists what was asked: "PUT /latest/api/token", "AssumeRole role=... external=...", ..."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, access_key="testkey", secret_key="testsecret", token="", region_of_bucket="eu-central-1"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.access_key, self.secret_key, self.token = access_key, secret_key, token
        self.region_of_bucket = region_of_bucket
        self.calls = []
        self.keys_that_asked = set()  # who signed what STS was asked

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="text/plain", **headers):
        data = b"" if self.command == "HEAD" else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self):
        if self.path == "/latest/api/token":
            self.server.calls.append("PUT " + self.path)
            return self.reply(200, "imds-token", X_aws_ec2_metadata_token_ttl_seconds="21600")
        return self.other_region()

    def do_HEAD(self):
        return self.other_region()

    def do_GET(self):
        place = urllib.parse.urlsplit(self.path).path
        aws = self.server
        if place.startswith("/latest/"):
            aws.calls.append("GET " + place)
            if self.headers.get("X-aws-ec2-metadata-token") != "imds-token":
                return self.reply(401, "IMDSv2 wants a token")
            if place.rstrip("/") == "/latest/meta-data/iam/security-credentials":
                return self.reply(200, "photo-reader")
            if place == "/latest/meta-data/iam/security-credentials/photo-reader":
                return self.reply(200, self.json_keys(), "application/json")
            if place == "/latest/meta-data/placement/availability-zone":
                return self.reply(200, "us-east-1a")
            return self.reply(404, "")
        if place == "/container":
            aws.calls.append(f"GET /container {self.headers.get('Authorization', '')}")
            return self.reply(200, self.json_keys(), "application/json")
        return self.other_region()

    def json_keys(self):
        aws = self.server
        return (f'{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z", '
                f'"AccessKeyId": "{aws.access_key}", "SecretAccessKey": "{aws.secret_key}", '
                f'"Token": "{aws.token}", "Expiration": "{EXPIRES}"}}')

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = {k: v[0] for k, v in urllib.parse.parse_qs(text).items()}
        action = asked.get("Action", "?")
        if not action.startswith("AssumeRole"):
            return self.other_region()
        self.server.calls.append(f"{action} role={asked.get('RoleArn')} external={asked.get('ExternalId', '')} "
                                 f"token={asked.get('WebIdentityToken', '')} session={asked.get('RoleSessionName')}")
        aws = self.server
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        if signed:
            aws.keys_that_asked.add(signed[1])
        return self.reply(200, f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
<Credentials><AccessKeyId>{aws.access_key}</AccessKeyId><SecretAccessKey>{aws.secret_key}</SecretAccessKey>
<SessionToken>{aws.token}</SessionToken><Expiration>{EXPIRES}</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser>
</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>""", "text/xml")

    def other_region(self):
        """As S3 answers where the bucket lies in another region than the one asked."""
        aws = self.server
        aws.calls.append(f"{self.command} {self.path}")
        if "Content-Length" in self.headers and self.command == "PUT":
            self.rfile.read(int(self.headers["Content-Length"]))
        bucket = self.path.split("?")[0].split("/")[1]
        return self.reply(301, f"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the \
specified endpoint. Please send all future requests to this endpoint.</Message>\
<Endpoint>{bucket}.s3.{aws.region_of_bucket}.amazonaws.com</Endpoint><Bucket>{bucket}</Bucket></Error>""",
                          "application/xml", x_amz_bucket_region=aws.region_of_bucket)


def fake_aws(**options):
    """A context: the FakeAws, answering."""
    return answering(FakeAws(**options))
