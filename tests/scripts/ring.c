/*
 * MPI: each rank reads its share of the files named on the command line, hands it around the ring in one large message
 * (between two processes of one machine that is a read of the other's memory), and all add up what they have seen.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 4 << 20 };

static unsigned long sum_of(const unsigned char *bytes, size_t size)
{
	unsigned long sum = 0;
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

int main(int argc, char **argv)
{
	int rank, ranks;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	unsigned char *mine = calloc(1, LARGE), *other = calloc(1, LARGE);
	size_t size = 0;
	for (int i = 1 + rank; i < argc; i += ranks) {
		FILE *file = fopen(argv[i], "rb");
		if (!file) {
			perror(argv[i]);
			MPI_Abort(MPI_COMM_WORLD, 1);
		}
		size += fread(mine + size, 1, LARGE - size, file);
		fclose(file);
	}
	unsigned long own = sum_of(mine, LARGE), seen = 0, total = 0;
	for (int step = 0; step < ranks; step++) {
		MPI_Sendrecv(mine, LARGE, MPI_BYTE, (rank + 1) % ranks, 0, other, LARGE, MPI_BYTE, (rank + ranks - 1) % ranks, 0,
			     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		memcpy(mine, other, LARGE);
		seen += sum_of(mine, LARGE);
	}
	MPI_Reduce(&seen, &total, 1, MPI_UNSIGNED_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
	MPI_Bcast(&total, 1, MPI_UNSIGNED_LONG, 0, MPI_COMM_WORLD);
	for (int turn = 0; turn < ranks; turn++) {
		if (turn == rank) {
			printf("rank %d of %d: own %lx, all %lx%s\n", rank, ranks, own, total, own == sum_of(mine, LARGE) ? "" : ", LOST");
			fflush(stdout);
		}
		MPI_Barrier(MPI_COMM_WORLD);
	}
	MPI_Finalize();
	return 0;
}
