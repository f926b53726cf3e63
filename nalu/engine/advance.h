/* Trains several blocks on the same random numbers, drawn a few steps ahead, while they are at hand.
   size: numbers of a step; P, c, out: state, numbers (so many a step) and losses of each block. */
int advance(U *words, int position, V *X, long size, long ahead, long blocks, V **P, const REAL **c, V **out,
            long numbers, V *S, long steps) {
  for (long t = 0; t < steps; t += ahead) {
    long now = steps - t < ahead ? steps - t : ahead;
    position = uniform(words, position, X, now * size);
    for (long b = 0; b < blocks; b++) train(P[b], X, size, 0, 0, c[b] + t * numbers, out[b] + t, S, now);
  }
  return position;
}
