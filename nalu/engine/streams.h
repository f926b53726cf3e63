/* Sixteen Mersenne twisters side by side, one of each network: lane l gives the numbers of
   torch.Generator().manual_seed(seeds[l]) on the CPU, bit for bit. Include functions.h first.

   A state is 624 words of each lane; a position from 0 to 624 tells how many of them are used. After seed() it is 624.
   Matsumoto and Nishimura, "Mersenne twister", ACM TOMACS 8 (1), 1998. */

typedef int SIGNED __attribute__((vector_size(64), aligned(64)));

/* Only the low 32 bits of a seed count in torch, too. */
void seed(U *state, const unsigned *seeds) {
  U word;
  for (int l = 0; l < 16; l++) word[l] = seeds[l];
  for (unsigned j = 0; j < 624; j++) {
    if (j) word = (word ^ (word >> 30)) * 1812433253u + j;
    state[j] = word;
  }
}

/* The highest bit of a, the others of b, shifted, with the twist. */
LIGHT U mixed(U a, U b) {
  U y = (a & 0x80000000u) | (b & 0x7fffffffu);
  return (y >> 1) ^ ((0 - (b & 1u)) & 0x9908b0dfu);
}
static __attribute__((noinline)) void twist(U *s) {
  for (int i = 0; i < 227; i++) s[i] = s[i + 397] ^ mixed(s[i], s[i + 1]);
  for (int i = 227; i < 623; i++) s[i] = s[i - 227] ^ mixed(s[i], s[i + 1]);
  s[623] = s[396] ^ mixed(s[623], s[0]);
}
/* A word as it is given out. */
LIGHT U tempered(U y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}
/* The position of the next word, once there is one. */
LIGHT int ready(U *state, int position) {
  if (position < 624) return position;
  twist(state);
  return 0;
}

/* Each of these draws n numbers a lane and returns the new position. */

/* The words themselves. */
int words(U *state, int position, U *out, long n) {
  for (long k = 0; k < n;) {
    position = ready(state, position);
    for (; k < n && position < 624; k++, position++) out[k] = tempered(state[position]);
  }
  return position;
}
/* torch.rand in float32: the lowest 24 bits over 2^24. The same numbers in the float64 build. */
int uniform(U *state, int position, V *out, long n) {
  for (long k = 0; k < n;) {
    position = ready(state, position);
    for (; k < n && position < 624; k++, position++)
      out[k] = __builtin_convertvector((SIGNED)(tempered(state[position]) & 0xffffffu), V) * (REAL)0x1p-24;
  }
  return position;
}
/* torch.randint(high) for high > 0: the remainder of a word, or of two where high has more than 28 bits. */
int below(U *state, int position, U *out, long n, unsigned high) {
  for (long k = 0; k < n; k++) {
    position = ready(state, position);
    U word = tempered(state[position++]);
    if (high >> 28) {
      position = ready(state, position);
      U low = tempered(state[position++]);
      for (int l = 0; l < 16; l++) word[l] = (unsigned)(((unsigned long long)word[l] << 32 | low[l]) % high);
    } else {
      word %= high;
    }
    out[k] = word;
  }
  return position;
}
