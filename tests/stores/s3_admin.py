# SPDX-License-Identifier: Apache-2.0
"""What an administrator does on the S3 server of the tests: users, bucket policies. Requests are signed here
(AWS Signature Version 4), so that no client library is needed."""
import datetime
import hashlib
import hmac
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import storage_server


def signed(env, method, path, query="", body=b"", extra=None):
    """Sends one request with the keys of `env`; the answer's body. Raises urllib.error.HTTPError."""
    url = urllib.parse.urlsplit(env["AWS_ENDPOINT_URL"])
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": now, **(extra or {})}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join([method, urllib.parse.quote(path), query, lines, names, digest])
    scope = f"{now[:8]}/{env['AWS_REGION']}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + env["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={env['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={names}, Signature={signature}")
    request = urllib.request.Request(f"{env['AWS_ENDPOINT_URL']}{urllib.parse.quote(path)}" + ("?" + query if query else ""),
                                     data=body or None, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def make_user(env, name, secret):
    """A user without any right; the server must have been started with --iam-dir."""
    done = subprocess.run(
        [storage_server.find_versitygw(), "admin", "--access", env["AWS_ACCESS_KEY_ID"], "--secret",
         env["AWS_SECRET_ACCESS_KEY"], "--endpoint-url", env["AWS_ENDPOINT_URL"], "create-user",
         "--access", name, "--secret", secret, "--role", "user"], capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def allow(user, actions, resources):
    """A statement of a policy. Resources: "bucket" or "bucket/prefix/*"."""
    return {"Effect": "Allow", "Principal": [user], "Action": actions,
            "Resource": [f"arn:aws:s3:::{resource}" for resource in resources]}


def set_policy(env, bucket, statements):
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
    signed(env, "PUT", f"/{bucket}", "policy=", policy)
