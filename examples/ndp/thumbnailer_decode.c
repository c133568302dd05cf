/* Makes a PNG smaller by four. Decoding runs beside the data; the pixels come back, and are made fewer and written here.
 * Input: the key. Output: a PNG. */
#include "image.h"

static const char *key;
static Image image;

static int decoded(void) {
  uint32_t bytes;
  const unsigned char *file = weftrun_object_map(key, 0, -1, &bytes);
  if (!file) return -1;
  int failed = decode(file, bytes, &image);
  weftrun_object_unmap(file);
  return failed ? -2 : 0;
}

int main(void) {
  key = weftrun_input(NULL);
  int failed = weftrun_storage_call(key, decoded, 0, 0);
  if (failed) {
    fprintf(stderr, failed == -1 ? "no key %s\n" : "%s is no PNG of 8 bits a channel\n", key);
    return 1;
  }
  shrink(&image);
  encode(&image);
  return 0;
}
