/* Sorts images into ten groups. Reading them and finding the 32 directions of most variance run beside the data; the
 * images in those directions come back, and are put into groups here. Input: the key. Output: a line for each group with
 * the number of its images, and one with the sum of the squares of their distances to the middle of their group. */
#include "pca.h"

enum { GROUPS = 10, TURNS = 25 };

static const char *key;
static Matrix images;
static uint32_t *group_of;
static double middles[GROUPS][KEPT];
static uint32_t sizes[GROUPS];

static int reduce(void) { return reduced(key, &images); }

static double distance(uint32_t row, uint32_t group) {
  double sum = 0;
  for (uint32_t k = 0; k < images.columns; k++) {
    double apart = images.values[(size_t)row * images.columns + k] - middles[group][k];
    sum += apart * apart;
  }
  return sum;
}

/* Puts each image into the group whose middle is next to it; returns the sum of the distances. */
static double assign(void) {
  double total = 0;
  for (uint32_t row = 0; row < images.rows; row++) {
    double least = distance(row, 0);
    group_of[row] = 0;
    for (uint32_t group = 1; group < GROUPS; group++) {
      double there = distance(row, group);
      if (there < least) {
        least = there;
        group_of[row] = group;
      }
    }
    total += least;
  }
  return total;
}

static void find_middles(void) {
  double sums[GROUPS][KEPT] = {0};
  memset(sizes, 0, sizeof sizes);
  for (uint32_t row = 0; row < images.rows; row++) {
    sizes[group_of[row]]++;
    for (uint32_t k = 0; k < images.columns; k++)
      sums[group_of[row]][k] += images.values[(size_t)row * images.columns + k];
  }
  for (uint32_t group = 0; group < GROUPS; group++)
    for (uint32_t k = 0; sizes[group] && k < images.columns; k++) middles[group][k] = sums[group][k] / sizes[group];
}

int main(void) {
  key = weftrun_input(NULL);
  int failed = weftrun_storage_call(key, reduce, 0, 0);
  if (failed) return told_failure(key, failed);
  group_of = calloc(images.rows, sizeof *group_of);
  if (!group_of) abort();
  for (uint32_t group = 0; group < GROUPS; group++)
    memcpy(middles[group], images.values + (size_t)(group * (uint64_t)images.rows / GROUPS) * images.columns,
           images.columns * sizeof(double));
  for (int turn = 0; turn < TURNS; turn++) {
    assign();
    find_middles();
  }
  double total = assign();
  find_middles();
  char line[48];
  for (uint32_t group = 0; group < GROUPS; group++)
    weftrun_output_add(line, (uint32_t)snprintf(line, sizeof line, "%u\n", sizes[group]));
  weftrun_output_add(line, (uint32_t)snprintf(line, sizeof line, "%.6f\n", total));
  return 0;
}
