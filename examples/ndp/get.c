/* Gives the value of a key. Input: the key. */
#include <stdio.h>
#include <weftrun.h>

int main(void) {
  uint32_t bytes;
  char *key = weftrun_input(NULL);
  void *value = weftrun_object_map(key, 0, -1, &bytes);
  if (!value) {
    fprintf(stderr, "no key %s\n", key);
    return 1;
  }
  weftrun_output(value, bytes);
  return 0;
}
