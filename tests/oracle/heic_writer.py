# SPDX-License-Identifier: Apache-2.0
"""HEIC files as phones write them, by libheif and its encoder: nothing that Python installs writes any."""
import ctypes

import numpy as np

HEVC, RGB, INTERLEAVED = 1, 1, 10  # heif_compression_format, heif_colorspace, heif_channel
CHROMA = {8: 10, 10: 14}  # bits: heif_chroma, RGB and RRGGBB_LE


class Result(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("subcode", ctypes.c_int), ("message", ctypes.c_char_p)]


def write_heic(file, pixels, bits=8):
    """`pixels`: height x width x 3, 8-bit. Raises OSError where there is no libheif, or it has no encoder."""
    lib = ctypes.CDLL("libheif.so.1")

    def call(name, *arguments):
        function = getattr(lib, name)
        function.restype = Result
        result = function(*arguments)
        if result.code:
            raise OSError(result.message.decode())

    lib.heif_context_alloc.restype = ctypes.c_void_p
    lib.heif_image_get_plane.restype = ctypes.POINTER(ctypes.c_uint8)
    context = ctypes.c_void_p(lib.heif_context_alloc())
    encoder, image, handle, stride = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
    height, width, _ = pixels.shape
    values = pixels if bits == 8 else (pixels.astype(np.uint32) * (2**bits - 1) // 255).astype("<u2")
    rows = values.reshape(height, -1).view(np.uint8)
    try:
        call("heif_context_get_encoder_for_format", context, HEVC, ctypes.byref(encoder))
        call("heif_encoder_set_lossy_quality", encoder, 95)
        call("heif_image_create", width, height, RGB, CHROMA[bits], ctypes.byref(image))
        call("heif_image_add_plane", image, INTERLEAVED, width, height, bits)
        plane = lib.heif_image_get_plane(image, INTERLEAVED, ctypes.byref(stride))
        np.ctypeslib.as_array(plane, (height, stride.value))[:, :rows.shape[1]] = rows
        call("heif_context_encode_image", context, image, encoder, None, ctypes.byref(handle))
        call("heif_context_write_to_file", context, str(file).encode())
    finally:
        lib.heif_image_handle_release(handle)
        lib.heif_image_release(image)
        lib.heif_encoder_release(encoder)
        lib.heif_context_free(context)
