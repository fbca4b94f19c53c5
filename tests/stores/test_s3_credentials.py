# SPDX-License-Identifier: Apache-2.0
"""Every way by which S3 credentials, regions, endpoints and proxies reach the command, shown by what it can read."""
import fake_aws
import pytest

pytestmark = pytest.mark.slow  # needs the S3 server

KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret"}
NO_MACHINE = {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def bare(s3, proxy):
    """An environment that names the endpoint and nothing else."""
    s3.photos("a", 2)
    env = {k: v for k, v in s3.env.items() if not k.startswith("AWS_")}
    return {**env, "AWS_ENDPOINT_URL": proxy.url, "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


@pytest.fixture
def aws():
    with fake_aws.fake_aws() as server:
        yield server


@pytest.fixture
def files(tmp_path, proxy):
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id = testkey\naws_secret_access_key = testsecret\n")
    process = '{"Version": 1, "AccessKeyId": "testkey", "SecretAccessKey": "testsecret"}'
    (tmp_path / "keys.json").write_text(process)
    (tmp_path / "config").write_text(
        f"[profile team]\nregion = us-east-1\nendpoint_url = {proxy.url}\n"
        f"[profile process]\ncredential_process = /bin/cat {tmp_path}/keys.json\n"
        f"[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = team\nexternal_id = abc\n"
        f"[profile again]\nrole_arn = arn:aws:iam::1:role/y\nsource_profile = role\n"
        f"[profile typed]\nrole_arn = arn:aws:iam::1:role/z\nsource_profile = team\nmfa_serial = arn:aws:iam::1:mfa/me\n")
    return {"AWS_CONFIG_FILE": tmp_path / "config", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / "credentials", **NO_MACHINE}


def reads(run, env, uri="s3://photos/a"):
    assert "the first photo is s3://photos/a/" in run(env, "doctor", uri, "--source")
    return True


def test_environment_and_endpoint_of_s3_alone(run, bare, proxy):
    assert reads(run, {**bare, **KEYS, **NO_MACHINE})
    env = {**bare, **KEYS, **NO_MACHINE, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": proxy.url}
    assert reads(run, env)


def test_profile_with_its_region_and_endpoint(run, bare, files):
    del bare["AWS_ENDPOINT_URL"]
    assert reads(run, {**bare, **files, "AWS_PROFILE": "team"})


def test_credential_process_of_a_profile(run, bare, files):
    assert reads(run, {**bare, **files, "AWS_PROFILE": "process"})


def test_role_of_the_uri_is_assumed(run, bare, aws):
    env = {**bare, **KEYS, **NO_MACHINE, "AWS_ENDPOINT_URL_STS": aws.url, "AWS_REGION": "us-east-1"}
    assert reads(run, env, "s3://photos/a?role_arn=arn:aws:iam::1:role/x&external_id=abc&session_name=me")
    assert "AssumeRole role=arn:aws:iam::1:role/x external=abc token= session=me" in aws.calls


def test_profile_that_assumes_a_role_with_the_keys_of_another(run, bare, files, aws):
    # The second profile's keys are there for the role alone: those of the first are nobody's.
    text = files["AWS_SHARED_CREDENTIALS_FILE"].read_text()
    files["AWS_SHARED_CREDENTIALS_FILE"].write_text(text + "[role]\naws_access_key_id = x\naws_secret_access_key = y\n")
    env = {**bare, **files, "AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": aws.url, "AWS_REGION": "us-east-1"}
    assert reads(run, env)
    (call,) = {call for call in aws.calls if call.startswith("AssumeRole")}
    assert call == "AssumeRole role=arn:aws:iam::1:role/x external=abc token= session=pomona"
    assert aws.keys_that_asked == {"testkey"}


def test_roles_that_cannot_be_assumed_here_say_what_to_do(run, bare, files):
    for profile, why in (("again", "by way of the profile 'role'"), ("typed", "a code of the device arn:aws:iam::1:mfa/me")):
        text = run({**bare, **files, "AWS_PROFILE": profile}, "doctor", "s3://photos/a", "--source", code=2)
        assert why in text and f"aws configure export-credentials --profile {profile}" in text


def test_role_of_the_machine(run, bare, aws):
    assert reads(run, {**bare, "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url})
    assert "PUT /latest/api/token" in aws.calls  # version 2: nothing without a token


def test_role_of_the_container(run, bare, aws):
    assert reads(run, {**bare, **NO_MACHINE, "AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.url + "/container",
                       "AWS_CONTAINER_AUTHORIZATION_TOKEN": "abc"})
    assert "GET /container abc" in aws.calls


def test_session_token_goes_along(run, bare, proxy):
    # The server knows no temporary keys and refuses: what counts is what it was sent.
    run({**bare, **KEYS, **NO_MACHINE, "AWS_SESSION_TOKEN": "the-token"}, "doctor", "s3://photos/a", "--source", code=1)
    assert proxy.tell()["headers"]["x-amz-security-token"] == "the-token"


def test_web_identity_without_its_token_service_says_so(run, bare, tmp_path):
    """EKS. The token service is only to be had by TLS from AWS, so only its absence can be tried here."""
    (tmp_path / "token").write_text("web-token")
    env = {**bare, **NO_MACHINE, "AWS_WEB_IDENTITY_TOKEN_FILE": tmp_path / "token", "AWS_REGION": "us-east-1",
           "AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_ROLE_SESSION_NAME": "s"}
    text = run(env, "doctor", "s3://photos/a", "--source", code=1)
    assert "no credentials were found" in text and "AWS_WEB_IDENTITY_TOKEN_FILE" in text


def test_proxies_of_the_environment_and_of_the_uri(run, bare, s3, proxy):
    direct = {**bare, **KEYS, **NO_MACHINE, "AWS_ENDPOINT_URL": s3.env["AWS_ENDPOINT_URL"]}
    proxy.tell(reset=True)
    assert reads(run, {**direct, "HTTP_PROXY": proxy.url})
    assert any(line.startswith(f"GET {s3.env['AWS_ENDPOINT_URL']}/photos") for line in proxy.tell()["requests"])
    proxy.tell(reset=True)
    assert reads(run, {**direct, "HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"})
    assert proxy.tell()["requests"] == []
    assert reads(run, direct, f"s3://photos/a?proxy={proxy.url}")
    assert proxy.tell()["requests"]


def test_options_of_the_uri(run, bare, proxy):
    del bare["AWS_ENDPOINT_URL"]
    uri = f"s3://photos/a?endpoint_override={proxy.url}&region=us-east-1&max_attempts=2"
    assert reads(run, {**bare, **KEYS, **NO_MACHINE}, uri)
    text = run({**bare, **KEYS}, "doctor", uri + "&max_attempts=none", code=2)
    assert "max_attempts" in text
    # Anonymous: nothing is signed. This server lets nobody in so.
    text = run({**bare, **KEYS}, "doctor", uri + "&anonymous=true", "--source", code=1)
    assert "authorization" not in proxy.tell()["headers"] and "permission" in text


def test_no_credentials_at_all(run, bare):
    text = run({**bare, **NO_MACHINE}, "doctor", "s3://photos/a", "--source", code=1)
    assert "no credentials were found" in text and "AWS_PROFILE" in text


def test_a_secret_in_a_uri_does_not_stand_in_the_results(run, bare, s3, network):
    endpoint = bare.pop("AWS_ENDPOINT_URL").removeprefix("http://")
    dest = f"s3://testkey:testsecret@results/secret?endpoint_override={endpoint}&scheme=http"
    run({**bare, **NO_MACHINE}, "run", s3.folder / "photos" / "a", dest, *network, "-k", "1", "--no-model")
    files = [path for path in (s3.folder / "results" / "secret").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if b"testsecret" in path.read_bytes()]
