/* Words of an input that are apart by single spaces. */
#include <weftrun.h>

/* Cuts the next word off a text; the last one has what is left when `rest` is set. NULL where there is none. */
static inline char *next_word(char **text, int rest) {
  char *word = *text;
  if (!word || !*word) return NULL;
  char *space = rest ? NULL : strchr(word, ' ');
  *text = space ? space + 1 : NULL;
  if (space) *space = 0;
  return word;
}
