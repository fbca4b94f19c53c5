# SPDX-License-Identifier: Apache-2.0
"""What a distant object store costs: photos a second from an S3 server with and without 50 ms added to every request,
by turns, and beside the local disk. Prints BENCH lines.

    .venv/bin/python bench/store_latency.py build/bin [--rounds 5] [--photos 2000] [--model efficientnet-lite0]

The S3 server (versitygw) and the delaying proxy run on the same cores and take their share: `s3_over_local` compares
with that share taken, and the line above it says how large it is. `s3_latency_50ms_ratio` has the proxy on both sides.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("POMONA_SHARED", ROOT.parent / "shared" / "data"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stores")]
import storage_server  # noqa: E402
import store_proxy  # noqa: E402


def featurize(pomona, source, dest, arguments, env=None):
    """Photos a second, from the first vector to the last, and the run's record."""
    subprocess.run([pomona, "featurize", source, dest, "--limit", str(arguments.photos), "--model", arguments.model,
                    "--input-size", str(arguments.size), "--overwrite", "-q"], check=True, env=env,
                   stdout=subprocess.DEVNULL)
    run = json.loads((dest / "_run.json").read_text())
    return run["counts"]["written"] / (run["seconds"] - run["first_vector_seconds"]), run


def server_pid(port):
    """Of the process that listens on the port."""
    wanted = f":{port:04X}"
    inode = next(line.split()[9] for line in open("/proc/net/tcp")
                 if line.split()[1].endswith(wanted) and line.split()[3] == "0A")
    for entry in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(entry) == f"socket:[{inode}]":
                return int(entry.parts[2])
        except OSError:
            pass
    raise SystemExit("the S3 server was not found")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    archive = SHARED / "fruits360-subset" / "Training.tar"
    if storage_server.find_versitygw() is None or not archive.exists():
        print("# SKIPPED s3_latency_50ms_ratio: needs versitygw (setup/versitygw.sh) and fruits360-subset")
        return
    pomona = str(arguments.bin.resolve() / "pomona")
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        photos = scratch / "s3" / "photos"
        photos.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            tar.extractall(photos, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        with storage_server.s3_server(scratch / "s3") as env, \
                store_proxy.proxy_before(env["AWS_ENDPOINT_URL"]) as proxy:
            server = server_pid(int(env["AWS_ENDPOINT_URL"].rpartition(":")[2]))
            behind = {**env, "AWS_ENDPOINT_URL": proxy.url}
            far, beside, shares, requests, most = [], [], [], [], 0
            featurize(pomona, photos, scratch / "out", arguments)  # warms the page cache and the compiled network's
            for _ in range(arguments.rounds):
                local, _ = featurize(pomona, photos, scratch / "out", arguments)
                before = store_proxy.cpu_seconds(server)
                direct, run = featurize(pomona, "s3://photos", scratch / "out", arguments, env)
                shares.append((store_proxy.cpu_seconds(server) - before) / run["seconds"] / os.cpu_count())
                rates = {}
                # Both orders in a round, so that a load that rises or falls meets both alike.
                for latency in (0, 0.05, 0.05, 0):
                    proxy.tell(latency=latency, reset=True)
                    rate, run = featurize(pomona, "s3://photos", scratch / "out", arguments, behind)
                    rates.setdefault(latency, []).append(rate)
                    told = proxy.tell()
                    requests.append(sum(told["counts"].values()) / run["counts"]["written"])
                    most = max(most, told["most"])
                far.append(statistics.harmonic_mean(rates[0.05]) / statistics.harmonic_mean(rates[0]))
                beside.append(direct / local)
                print(f"# local {local:.0f}/s, S3 {direct:.0f}/s, behind the proxy {statistics.mean(rates[0]):.0f}/s, "
                      f"with 50 ms {statistics.mean(rates[0.05]):.0f}/s", flush=True)
    print(f"# {arguments.model} at {arguments.size}, {arguments.photos} photos, rounds "
          f"{' '.join(f'{r:.2f}' for r in sorted(far))}; at most {most} requests at a time")
    print(f"# the S3 server itself took {100 * statistics.median(shares):.1f} % of all cores")
    print(f"BENCH s3_latency_50ms_ratio {statistics.median(far):.3f} x")
    print(f"BENCH s3_over_local {statistics.median(beside):.3f} x")
    print(f"BENCH s3_requests_per_photo {statistics.median(requests):.3f} requests")


if __name__ == "__main__":
    main()
