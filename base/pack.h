/* base/pack.h - large values made smaller on their way to the disk: the only door to LZ4.
 *
 * Packed   {raw size u32}, then for each PACK_PIECE raw bytes {size u32, LZ4 block}, or the piece as it is when that is
 *          its size; or {0 u32, all bytes as they are} when packing would save less than an eighth, or when they are
 *          below PACK_MIN or above PACK_MAX.
 * Pieces   LZ4 looks back 64 KiB at most, and in what the nearest cache holds it looks a quarter faster: pieces of 32
 *          KiB take 0.8 ns of CPU a byte where a megabyte in one took 1.0 to 1.1, and leave a fortieth more.
 * Cost     texts 0.5 to 0.8 ns of CPU a byte, half to two thirds of them saved; random numbers 0.5 ns, little saved;
 *          reading 0.1 ns. A byte that is written costs 0.9 ns of CPU (bench/README.md), and the disk's time.
 * Errors   none to pack; what cannot be unpacked is damaged. No bytes make unpack() read or write beyond its bounds or
 *          reserve more than 255 times what is given, which is the most that LZ4 can make of it.
 * Threads  pure functions. */
#ifndef TIDEMILL_BASE_PACK_H
#define TIDEMILL_BASE_PACK_H

#include "base/bytes.h"

enum { PACK_HEAD = 4, PACK_MIN = 256, PACK_MAX = 1 << 30, PACK_PIECE = 32 << 10 };

/* Append it to *out. */
void pack(struct bytes raw, struct buffer *out);

/* *raw is a view of `packed`, or of *buffer, whose contents are replaced then. False: damaged. */
bool unpack(struct bytes packed, struct buffer *buffer, struct bytes *raw);

#endif
