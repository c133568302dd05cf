/* Images of MNIST (the idx format: 00 00 08 03, then how many, how high, how wide, each in 4 bytes, then a byte a pixel),
 * as rows of numbers between 0 and 1, less their means, and what they are in the 32 directions of most variance. */
#include <math.h>
#include <stdio.h>
#include "words.h"

enum { KEPT = 32, ROUNDS = 300 };

typedef struct {
  uint32_t rows, columns;
  double *values;
} Matrix;

static inline double *zeros(size_t count) {
  double *made = calloc(count ? count : 1, sizeof *made);
  if (!made) abort();
  return made;
}

static inline void forget(double *at, size_t count) {
  explicit_bzero(at, count * sizeof *at); /* so that it does not travel back */
  free(at);
}

static inline uint32_t number_at(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Reads images; returns 0, or -1 where there are none. */
static inline int read_images(const unsigned char *from, uint32_t bytes, Matrix *images) {
  if (bytes < 16 || memcmp(from, "\0\0\x08\x03", 4)) return -1;
  images->rows = number_at(from + 4);
  uint64_t columns = (uint64_t)number_at(from + 8) * number_at(from + 12);
  if (!images->rows || !columns || columns > 4096 || images->rows > (bytes - 16) / columns) return -1;
  images->columns = (uint32_t)columns;
  images->values = zeros((size_t)images->rows * columns);
  for (uint32_t c = 0; c < columns; c++) {
    double sum = 0;
    for (uint32_t r = 0; r < images->rows; r++) sum += from[16 + r * columns + c] / 255.0;
    for (uint32_t r = 0; r < images->rows; r++)
      images->values[r * columns + c] = from[16 + r * columns + c] / 255.0 - sum / images->rows;
  }
  return 0;
}

static inline double *covariance(const Matrix *of) {
  uint32_t n = of->columns;
  double *made = zeros((size_t)n * n);
  for (uint32_t r = 0; r < of->rows; r++) {
    const double *row = of->values + (size_t)r * n;
    for (uint32_t i = 0; i < n; i++)
      if (row[i] != 0)
        for (uint32_t j = i; j < n; j++) made[(size_t)i * n + j] += row[i] * row[j];
  }
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = 0; j < i; j++) made[(size_t)i * n + j] = made[(size_t)j * n + i];
  return made;
}

/* Makes the directions, one a row, stand at right angles to one another, each of length 1. */
static inline void straighten(double *directions, uint32_t count, uint32_t n) {
  for (uint32_t k = 0; k < count; k++) {
    double *one = directions + (size_t)k * n, length = 0;
    for (int again = 0; again < 2; again++)
      for (uint32_t o = 0; o < k; o++) {
        const double *other = directions + (size_t)o * n;
        double dot = 0;
        for (uint32_t i = 0; i < n; i++) dot += one[i] * other[i];
        for (uint32_t i = 0; i < n; i++) one[i] -= dot * other[i];
      }
    for (uint32_t i = 0; i < n; i++) length += one[i] * one[i];
    length = length > 0 ? sqrt(length) : 1;
    for (uint32_t i = 0; i < n; i++) one[i] /= length;
  }
}

/* The directions of most variance, by orthogonal iteration (G. H. Golub and C. F. Van Loan, Matrix Computations, 8.2.4). */
static inline double *directions_of(const double *matrix, uint32_t n, uint32_t count) {
  double *directions = zeros((size_t)count * n), *next = zeros((size_t)count * n);
  uint32_t seed = 1;
  for (size_t i = 0; i < (size_t)count * n; i++) directions[i] = (seed = seed * 1664525u + 1013904223u) / 4294967296.0 - 0.5;
  straighten(directions, count, n);
  for (int round = 0; round < ROUNDS; round++) {
    double moved = 0;
    for (uint32_t k = 0; k < count; k++)
      for (uint32_t i = 0; i < n; i++) {
        double sum = 0;
        for (uint32_t j = 0; j < n; j++) sum += matrix[(size_t)i * n + j] * directions[(size_t)k * n + j];
        next[(size_t)k * n + i] = sum;
      }
    straighten(next, count, n);
    for (size_t i = 0; i < (size_t)count * n; i++) {
      moved = fmax(moved, fabs(next[i] - directions[i]));
      directions[i] = next[i];
    }
    if (moved < 1e-12) break;
  }
  forget(next, (size_t)count * n);
  return directions;
}

/* Reads the images of a key and reduces them; returns 0, -1 where the key isn't there, or -2 where it has no images. */
static inline int reduced(const char *key, Matrix *made) {
  uint32_t bytes;
  Matrix images = {0};
  const unsigned char *from = weftrun_object_map(key, 0, -1, &bytes);
  if (!from) return -1;
  int failed = read_images(from, bytes, &images);
  weftrun_object_unmap(from);
  if (failed) return -2;
  uint32_t n = images.columns, count = n < KEPT ? n : KEPT;
  double *matrix = covariance(&images), *directions = directions_of(matrix, n, count);
  *made = (Matrix){images.rows, count, zeros((size_t)images.rows * count)};
  for (uint32_t r = 0; r < images.rows; r++)
    for (uint32_t k = 0; k < count; k++) {
      double sum = 0;
      for (uint32_t i = 0; i < n; i++) sum += images.values[(size_t)r * n + i] * directions[(size_t)k * n + i];
      made->values[(size_t)r * count + k] = sum;
    }
  forget(matrix, (size_t)n * n);
  forget(directions, (size_t)count * n);
  forget(images.values, (size_t)images.rows * n);
  return 0;
}

static inline int told_failure(const char *key, int failed) {
  fprintf(stderr, failed == -1 ? "no key %s\n" : "%s has no images of MNIST\n", key);
  return 1;
}
