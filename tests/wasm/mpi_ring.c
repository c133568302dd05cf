#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
  int rank, size, all[WEFTRUN_MPI_RANKS], sum, scanned, token = 0, part, first, second;
  double most, mine;
  MPI_Status status;
  MPI_Request asked[2];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  /* round the ring; what comes with another tag, and before a collective call, waits */
  int next = (rank + 1) % size, before = (rank + size - 1) % size, early = 100 + rank;
  MPI_Send(&early, 1, MPI_INT, next, 2, MPI_COMM_WORLD);
  MPI_Send(&rank, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Recv(&token, 1, MPI_INT, before, 1, MPI_COMM_WORLD, &status);
  int count, ok = token == before && status.MPI_SOURCE == before && status.MPI_TAG == 1;
  MPI_Get_count(&status, MPI_INT, &count);
  MPI_Recv(&token, 1, MPI_INT, before, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  ok = ok && count == 1 && token == 100 + before && sum == size * (size - 1) / 2;

  MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD);
  for (int i = 0; i < size; i++) ok = ok && all[i] == i;
  MPI_Scan(&rank, &scanned, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  ok = ok && scanned == rank * (rank + 1) / 2;
  mine = rank * 1.5;
  MPI_Reduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, size - 1, MPI_COMM_WORLD);
  if (rank == size - 1) ok = ok && most == (size - 1) * 1.5;
  for (int i = 0; i < size; i++) all[i] = 10 * i;
  MPI_Scatter(all, 1, MPI_INT, &part, 1, MPI_INT, 0, MPI_COMM_WORLD);
  ok = ok && part == 10 * rank;
  int given[WEFTRUN_MPI_RANKS];
  for (int i = 0; i < size; i++) all[i] = 10 * rank + i;
  MPI_Alltoall(all, 1, MPI_INT, given, 1, MPI_INT, MPI_COMM_WORLD);
  for (int i = 0; i < size; i++) ok = ok && given[i] == 10 * i + rank;
  MPI_Irecv(&first, 1, MPI_INT, before, 5, MPI_COMM_WORLD, &asked[0]);
  MPI_Isend(&rank, 1, MPI_INT, next, 5, MPI_COMM_WORLD, &asked[1]);
  MPI_Waitall(2, asked, MPI_STATUSES_IGNORE);
  MPI_Sendrecv(&rank, 1, MPI_INT, next, 6, &second, 1, MPI_INT, before, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  ok = ok && first == before && second == before && sum == size * (size - 1) / 2;
  MPI_Barrier(MPI_COMM_WORLD);
  int good = 0;
  MPI_Reduce(&ok, &good, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    char answer[64];
    sprintf(answer, "%d of %d", good, size);
    weftrun_output_text(answer);
  }
  MPI_Finalize();
  return 0;
}
