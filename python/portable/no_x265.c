/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libx265 in portable wheels. Debian's libheif links that encoder, which is GPL and 16 MB; Pomona only
   reads HEIC. libheif asks for the encoder's table of functions by this name and takes NULL for "not there". */
const void* x265_api_get_199(int depth);
const void* x265_api_get_199(int depth) {
  (void)depth;
  return 0;
}
