/*
 * Nearest words: see suggest.h. Optimal string alignment distance (insert, delete, replace, swap).
 */
#include "program/coffer/suggest.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 40 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void suggest_init(suggest_t *suggest, const char *typed) {
    *suggest = (suggest_t){typed, NULL, SIZE_MAX};
}

void suggest_offer(suggest_t *suggest, const char *word) {
    size_t typed = strlen(suggest->typed);
    /* A beginning of three letters and more is near, whatever follows. */
    if (typed >= 3 && strncmp(word, suggest->typed, typed) == 0 && suggest->distance > 1) {
        suggest->best = word;
        suggest->distance = 1;
        return;
    }
    size_t d = distance(suggest->typed, word);
    size_t near = typed <= 3 ? 1 : typed <= 6 ? 2 : 3;
    if (d > near || d >= suggest->distance) return;
    suggest->best = word;
    suggest->distance = d;
}
