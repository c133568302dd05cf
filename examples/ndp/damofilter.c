/* Keeps the hot regions of a trace under another key, beside it. Input: the key, a space, how many accesses are hot.
 * Output: the other key, which is KEY_filterACCESSES. */
#include "trace.h"

static const char *key;
static char other[300];
static unsigned long long hot;

static int filter(void) {
  uint32_t bytes, made = 0;
  const char *text = weftrun_object_map(key, 0, -1, &bytes);
  if (!text) return -1;
  char *kept = malloc(bytes ? bytes : 1);
  if (!kept) abort();
  for (const char *at = text, *end = text + bytes, *next; at < end; at = next) {
    Region region;
    next = read_region(at, end, &region);
    if (region.accesses < hot) continue;
    memcpy(kept + made, at, (size_t)(next - at));
    made += (uint32_t)(next - at);
  }
  weftrun_object_write(other, kept, made);
  weftrun_object_unmap(text);
  explicit_bzero(kept, made); /* so that it does not travel back */
  free(kept);
  return 0;
}

int main(void) {
  char *input = weftrun_input(NULL);
  key = next_word(&input, 0);
  char *threshold = next_word(&input, 1);
  if (!key || !threshold || strlen(key) > 200) {
    fprintf(stderr, "the input is: KEY ACCESSES\n");
    return 1;
  }
  hot = strtoull(threshold, NULL, 10);
  snprintf(other, sizeof other, "%s_filter%llu", key, hot);
  if (weftrun_storage_call(key, filter, 0, 0)) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  weftrun_output_text(other);
  return 0;
}
