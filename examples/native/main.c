/* Trains the exported step on the points of spirals.bin: learn FOLDER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

enum { EPOCHS = 30, BATCH = 100 };

static void stop(const char *what) {
  fprintf(stderr, "learn: %s\n", what);
  exit(1);
}

/* Memory that begins at a multiple of 64 bytes, as arena and weights must. */
static void *aligned(size_t bytes) {
  void *found = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!found) stop("no memory is left");
  return found;
}

static FILE *opened(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) stop(path);
  return file;
}

int main(int count, char **arguments) {
  const char *folder = count > 1 ? arguments[1] : ".";

  void *weights = aligned(STEP_WEIGHTS_BYTES);
  FILE *file = opened(folder, "step.weights");
  if (fread(weights, 1, STEP_WEIGHTS_BYTES, file) != STEP_WEIGHTS_BYTES) stop("the weights are cut off");
  fclose(file);

  int64_t points;
  file = opened(folder, "spirals.bin");
  if (fread(&points, sizeof points, 1, file) != 1 || points < 1 || points > 1000000) stop("bad data");
  float *x = malloc(sizeof(float) * 2 * (size_t)points);
  int64_t *y = malloc(sizeof(int64_t) * (size_t)points);
  if (!x || !y) stop("no memory is left");
  if (fread(x, sizeof(float) * 2, (size_t)points, file) != (size_t)points) stop("bad data");
  if (fread(y, sizeof(int64_t), (size_t)points, file) != (size_t)points) stop("bad data");
  fclose(file);

  /* One arena serves all batches: the largest needs most. */
  step_sizes sizes = {BATCH};
  int64_t arena_bytes = step_arena_bytes(&sizes);
  if (arena_bytes < 0) stop(step_message((int)-arena_bytes));
  void *arena = aligned((size_t)arena_bytes);

  for (int epoch = 0; epoch < EPOCHS; epoch++) {
    float loss = 0;
    int64_t right = 0, correct = 0;
    for (int64_t at = 0; at < points; at += BATCH) {
      sizes.batch = points - at < BATCH ? points - at : BATCH;
      step_inputs inputs = {x + 2 * at, y + at};
      step_results results = {&loss, &correct};
      int status = step_run(&sizes, &inputs, &results, weights, STEP_WEIGHTS_BYTES, arena,
                            arena_bytes, NULL);
      if (status != STEP_OK) stop(step_message(status));
      right += correct;
    }
    if (epoch % 10 == 9)
      printf("epoch %d: loss %.9g, %lld of %lld right\n", epoch + 1, loss, (long long)right,
             (long long)points);
  }
  free(arena), free(weights), free(x), free(y);
  return 0;
}
