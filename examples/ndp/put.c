/* Sets the value of a key. Input: the key, a space, and the value. */
#include <stdio.h>
#include <weftrun.h>

int main(void) {
  uint32_t bytes;
  char *input = weftrun_input(&bytes), *space = memchr(input, ' ', bytes);
  if (!space || space == input) {
    fprintf(stderr, "the input is: KEY VALUE\n");
    return 1;
  }
  *space = 0;
  weftrun_object_write(input, space + 1, bytes - (uint32_t)(space + 1 - input));
  return 0;
}
