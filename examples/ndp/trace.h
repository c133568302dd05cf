/* Memory traces: a line for each region that was watched, `TIME START END ACCESSES`, the addresses in hexadecimal. */
#include <stdio.h>
#include "words.h"

typedef struct {
  unsigned long long time, start, end, accesses;
} Region;

/* Reads the line at `at`, of which no byte past `end` is touched; returns where the next one begins. */
static inline const char *read_region(const char *at, const char *end, Region *region) {
  const char *stop = memchr(at, '\n', (size_t)(end - at));
  char line[128];
  size_t length = (size_t)((stop ? stop : end) - at);
  if (length >= sizeof line) length = sizeof line - 1;
  memcpy(line, at, length);
  line[length] = 0;
  if (sscanf(line, "%llu %llx %llx %llu", &region->time, &region->start, &region->end, &region->accesses) != 4)
    memset(region, 0, sizeof *region);
  return stop ? stop + 1 : end;
}
