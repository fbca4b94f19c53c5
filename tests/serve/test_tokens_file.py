# SPDX-License-Identifier: Apache-2.0
"""The file of tokens, as its owner and the server's user find it."""
import os


def test_who_could_read_the_file_still_can(pomona, tmp_path):
    file = tmp_path / "tokens"
    pomona("tokens", "add", file, "one", "--scopes", "classify")
    assert file.stat().st_mode & 0o777 == 0o600
    group = next((other for other in os.getgroups() if other != os.getgid()), os.getgid())
    if os.getuid() == 0:
        group = 4242
    os.chown(file, -1, group)
    file.chmod(0o640)
    pomona("tokens", "add", file, "two", "--scopes", "admin")
    assert (file.stat().st_mode & 0o777, file.stat().st_gid) == (0o640, group)
    pomona("tokens", "remove", file, "one")
    assert (file.stat().st_mode & 0o777, file.stat().st_gid) == (0o640, group)
