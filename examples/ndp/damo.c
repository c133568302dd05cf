/* The most memory that was hot at one time, beside a trace. Input: the key, a space, how many accesses are hot.
 * Output: bytes. The regions of one time follow one another. */
#include "trace.h"

static const char *key;
static unsigned long long hot, most;

static int find(void) {
  uint32_t bytes;
  const char *text = weftrun_object_map(key, 0, -1, &bytes);
  if (!text) return -1;
  unsigned long long time = 0, now = 0;
  for (const char *at = text, *end = text + bytes; at < end;) {
    Region region;
    at = read_region(at, end, &region);
    if (region.time != time) now = 0;
    time = region.time;
    if (region.accesses >= hot) now += region.end - region.start;
    if (now > most) most = now;
  }
  weftrun_object_unmap(text);
  return 0;
}

int main(void) {
  char *input = weftrun_input(NULL), line[32];
  key = next_word(&input, 0);
  char *threshold = next_word(&input, 1);
  if (!key || !threshold) {
    fprintf(stderr, "the input is: KEY ACCESSES\n");
    return 1;
  }
  hot = strtoull(threshold, NULL, 10);
  if (weftrun_storage_call(key, find, 0, 0)) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  weftrun_output(line, (uint32_t)snprintf(line, sizeof line, "%llu\n", most));
  return 0;
}
