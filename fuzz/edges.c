/* Counts the edges that instrumented code takes (gcc -fsanitize-coverage=trace-pc), and remembers what was new.
 *
 * The code calls __sanitizer_cov_trace_pc in each of its basic blocks; the block before and this one make an edge,
 * which has a cell in a table. Cells that differ by their counts alone, roughly taken, count as different coverage:
 * a loop that goes on for longer is worth an input. Two edges may share a cell; then one of them is not seen.
 *
 * Loaded before the modules (LD_PRELOAD, see tools/flavour.py). Counts between begin and end, in one thread.
 */

#include <stdint.h>

enum { CELL_BITS = 18, CELLS = 1 << CELL_BITS };

static uint8_t counts[CELLS];       /* of this execution */
static uint8_t known[CELLS];        /* a bit for each magnitude that was met before */
static uint32_t touched[CELLS];     /* the cells with a count, so that the table is never gone through */
static uint32_t touched_count, known_count;
static uint32_t previous;
static int counting;

void __sanitizer_cov_trace_pc(void) {
    if (!counting)
        return;
    uint64_t place = (uint64_t)(uintptr_t)__builtin_return_address(0);
    uint32_t block = (uint32_t)((place * 0x9E3779B97F4A7C15u) >> (64 - CELL_BITS));
    uint32_t cell = block ^ previous;
    previous = block >> 1;
    if (counts[cell] == 0)
        touched[touched_count++] = cell;
    if (counts[cell] != UINT8_MAX)
        counts[cell]++;
}

/* 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more: a bit of its own for each. */
static uint8_t magnitude(uint8_t count) {
    if (count < 4)
        return (uint8_t)(1 << (count - 1));
    return count < 8 ? 8 : count < 16 ? 16 : count < 32 ? 32 : count < 128 ? 64 : 128;
}

void hp_edges_begin(void) {
    for (uint32_t at = 0; at < touched_count; at++)
        counts[touched[at]] = 0;
    touched_count = previous = 0;
    counting = 1;
}

/* How many edges, or magnitudes of them, this execution met first. */
uint32_t hp_edges_end(void) {
    uint32_t fresh = 0;
    counting = 0;
    for (uint32_t at = 0; at < touched_count; at++) {
        uint32_t cell = touched[at];
        fresh += (known[cell] & magnitude(counts[cell])) == 0;
    }
    return fresh;
}

/* Takes what this execution met for known. */
void hp_edges_learn(void) {
    for (uint32_t at = 0; at < touched_count; at++) {
        uint32_t cell = touched[at];
        known_count += known[cell] == 0;
        known[cell] |= magnitude(counts[cell]);
    }
}

/* Cells times 256 plus magnitude, of what this execution met first; at most `room` of them. */
uint32_t hp_edges_fresh(uint32_t* out, uint32_t room) {
    uint32_t found = 0;
    for (uint32_t at = 0; at < touched_count && found < room; at++) {
        uint32_t cell = touched[at];
        if ((known[cell] & magnitude(counts[cell])) == 0)
            out[found++] = cell << 8 | magnitude(counts[cell]);
    }
    return found;
}

/* Whether this execution met all of these. */
int hp_edges_met(const uint32_t* wanted, uint32_t size) {
    for (uint32_t at = 0; at < size; at++) {
        uint8_t count = counts[wanted[at] >> 8];
        if (count == 0 || magnitude(count) != (wanted[at] & 0xff))
            return 0;
    }
    return 1;
}

uint32_t hp_edges_known(void) {
    return known_count;
}
