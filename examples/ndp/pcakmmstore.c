/* Finds the 32 directions of most variance of images, and keeps the images in those directions beside them, under the key
 * KEY_pcareduced, as doubles. All of it runs beside the data. Input: the key. Output: the other key. */
#include "pca.h"

static const char *key;
static char other[300];

static int keep(void) {
  Matrix images;
  int failed = reduced(key, &images);
  if (failed) return failed;
  size_t count = (size_t)images.rows * images.columns;
  weftrun_object_write(other, images.values, (uint32_t)(count * sizeof(double)));
  forget(images.values, count);
  return 0;
}

int main(void) {
  key = weftrun_input(NULL);
  if (strlen(key) > 200) {
    fprintf(stderr, "the key is too long\n");
    return 1;
  }
  snprintf(other, sizeof other, "%s_pcareduced", key);
  int failed = weftrun_storage_call(key, keep, 0, 0);
  if (failed) return told_failure(key, failed);
  weftrun_output_text(other);
  return 0;
}
