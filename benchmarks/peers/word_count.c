/* Words of the given files and how often each occurs: an open hash table, one pass. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (1u << 20)

static struct { char *word; uint32_t length; uint64_t count; } table[SLOTS];

static void count(const char *word, uint32_t length, uint64_t hash) {
    uint32_t slot = (uint32_t)(hash ^ (hash >> 32)) & (SLOTS - 1);
    while (table[slot].word &&
           (table[slot].length != length || memcmp(table[slot].word, word, length)))
        slot = (slot + 1) & (SLOTS - 1);
    if (!table[slot].word) {
        table[slot].word = malloc(length);
        memcpy(table[slot].word, word, length);
        table[slot].length = length;
    }
    table[slot].count++;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return 1;
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        rewind(file);
        char *text = malloc(size + 1);
        if (fread(text, 1, size, file) != (size_t)size) return 1;
        fclose(file);
        text[size] = ' ';
        uint64_t hash = 14695981039346656037u;
        long begin = -1;
        for (long at = 0; at <= size; at++) {
            unsigned char c = text[at];
            if (c == ' ' || (c >= 9 && c <= 13)) {
                if (begin >= 0) count(text + begin, at - begin, hash);
                begin = -1;
                hash = 14695981039346656037u;
            } else {
                if (begin < 0) begin = at;
                hash = (hash ^ c) * 1099511628211u;
            }
        }
        free(text);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (table[slot].word)
            printf("%.*s %llu\n", (int)table[slot].length, table[slot].word,
                   (unsigned long long)table[slot].count);
    return 0;
}
