# SPDX-License-Identifier: Apache-2.0
"""Bodies of multipart/form-data."""


def multipart(parts, boundary="sEpArAtOr"):
    """parts: (name, filename or None, bytes). (Content-Type, body)"""
    body = b""
    for name, filename, data in parts:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()
